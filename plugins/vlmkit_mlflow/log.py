"""One run of vlmkit as a run of MLflow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any, Self

from attrs import define, field

from vlmkit.errors import UserError
from vlmkit.runs import Record, StoredRun, Tally, leaves
from vlmkit.runs.convert import dumps
from vlmkit.runs.files import write_atomically

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from vlmkit.runs import Run

NOTE = "mlflow.json"
"""The file of a run directory that keeps the id of the run in MLflow, so that the next go continues it."""

EVERY = 20
"""Examples between two points of a curve."""

_PARAMS_AT_ONCE = 100
"""As many as MLflow takes in a call."""

_ARTIFACTS = ("manifest.json", "results.json")

_STATUS = {"success": "FINISHED", "unfinished": "KILLED", "cancelled": "KILLED", "failed": "FAILED"}


@define
class RunLog:
    """A run of MLflow that is being written.

    Args:
        client: Where it goes.
        id: Its id there.
        tally: The sums over all records so far, those of earlier goes included.
    """

    client: MlflowClient
    id: str
    tally: Tally = field(factory=Tally)

    @classmethod
    def open(cls, run: Run, experiment: str) -> Self:
        """Continue the run that the directory notes; begin one, with its parameters, where there is none.

        Raises:
            UserError: MLflow is not installed.
        """
        try:
            from mlflow import MlflowClient
        except ImportError:
            hint = 'pip install "vlmkit[mlflow]", or unset it'
            raise UserError("MLFLOW_TRACKING_URI is set, and mlflow is not installed", hint=hint) from None
        client = MlflowClient()
        id = _noted(client, run.directory) or _begun(client, run, experiment)
        client.update_run(id, status="RUNNING")
        return cls(client, id, Tally.of(run.files.records(), abstain_below=run.experiment.abstain_below))

    def add(self, record: Record) -> None:
        """Count a record; every so many, log the figures so far."""
        self.tally.add(record)
        if self._step % EVERY == 0:
            self._log(_figures(self.tally.metrics))

    def finish(self, directory: Path, results: Mapping[str, Any]) -> None:
        """Log the figures of the whole run and its files, and end it."""
        counts = {f"n.{name}": count for name, count in results["n"].items()}
        usage = {f"usage.{name}": value for name, value in leaves(results["usage"]) if value is not None}
        self._log({**_figures(results["metrics"]), **counts, **usage})
        for name in _ARTIFACTS:
            self.client.log_artifact(self.id, str(directory / name))
        self.client.set_terminated(self.id, _STATUS[results["status"]])

    @property
    def _step(self) -> int:
        return self.tally.done + self.tally.failed

    def _log(self, figures: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time())
        self.client.log_batch(self.id, [Metric(name, value, now, self._step) for name, value in figures.items()])


def _noted(client: MlflowClient, directory: Path) -> str | None:
    """Return the id that an earlier go noted, if there still is such a run."""
    from mlflow.exceptions import MlflowException

    try:
        id: str = json.loads((directory / NOTE).read_text(encoding="utf-8"))["run_id"]
        return id if client.get_run(id).info.lifecycle_stage == "active" else None
    except (FileNotFoundError, MlflowException):  # none yet, or it was on another server
        return None


def _begun(client: MlflowClient, run: Run, experiment: str) -> str:
    from mlflow.entities import Param

    known = client.get_experiment_by_name(experiment)
    place = known.experiment_id if known else client.create_experiment(experiment)
    id: str = client.create_run(place, run_name=run.directory.name).info.run_id
    depends = leaves(StoredRun.read(run.directory).fingerprint)
    options = leaves({"config": run.config})
    params = [Param(name, str(value)) for name, value in (*depends, *options)]
    for start in range(0, len(params), _PARAMS_AT_ONCE):
        client.log_batch(id, params=params[start : start + _PARAMS_AT_ONCE])
    write_atomically(run.directory / NOTE, [dumps({"run_id": id}), b"\n"])
    return id


def _figures(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return every proportion that is known with the ends of its interval; of a list, each by its place from 1 on."""
    return dict(_flat(metrics))


def _flat(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, figure in metrics.items():
        if isinstance(figure, list):
            yield from _flat({f"{name}.{place}": one for place, one in enumerate(figure, 1)})
        elif figure is not None:
            yield name, figure["value"]
            yield f"{name}.low", figure["low"]
            yield f"{name}.high", figure["high"]
