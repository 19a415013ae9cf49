"""The hooks: which run is watched, and what is told to its log."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, field

from vlmkit import hookimpl

if TYPE_CHECKING:
    from vlmkit.runs import Record, Run
    from vlmkit_mlflow.log import RunLog


@define(eq=False)
class Observer:
    """Logs each run to MLflow while the environment variable ``MLFLOW_TRACKING_URI`` is set.

    A log that fails is given up, so that a run waits for a broken server once and no more. The run itself goes on.
    """

    _logs: dict[Path, RunLog] = field(factory=dict, init=False)

    @hookimpl
    def vlmkit_run_started(self, run: Run) -> None:
        """Begin a log, or go on with the one of an earlier go."""
        if os.environ.get("MLFLOW_TRACKING_URI"):
            from vlmkit_mlflow.log import RunLog  # only now: runs that are not logged stay quick

            experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "vlmkit"
            self._logs[run.directory] = RunLog.open(run, experiment)

    @hookimpl
    def vlmkit_prediction(self, run: Run, prediction: Record) -> None:
        """Add a point to the curves from time to time."""
        if run.directory in self._logs:
            with self._given_up_if_broken(run.directory):
                self._logs[run.directory].add(prediction)

    @hookimpl
    def vlmkit_run_finished(self, run: Run, results: Mapping[str, Any]) -> None:
        """Log the figures and the files, and end the log."""
        if run.directory in self._logs:
            with self._given_up_if_broken(run.directory):
                self._logs[run.directory].finish(run.directory, results)
            del self._logs[run.directory]

    @contextmanager
    def _given_up_if_broken(self, directory: Path) -> Iterator[None]:
        try:
            yield
        except Exception:
            del self._logs[directory]
            raise
