"""A run at work: solve what is not done, write each record, sum up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from attrs import field, frozen

from vlmkit.contracts import Dataset
from vlmkit.engine.pipeline import Pipeline
from vlmkit.errors import BackendError, RunDirectoryError, UserError
from vlmkit.registry import PluginHost
from vlmkit.registry.isolate import call_each
from vlmkit.runs.directory import RunDirectory
from vlmkit.runs.record import Record
from vlmkit.runs.results import Status, summary
from vlmkit.runs.samples import sample_lines
from vlmkit.runs.survey import Survey
from vlmkit.types import Example, LabelSpace, Taxonomy

FAILURES_IN_A_ROW = 20
"""Examples that the model fails one after the other before a run ends, if they are more than may fail as well."""


@frozen
class Run:
    """One strategy on one model over one data set, on disk.

    Args:
        pipeline: The strategy on its model; keeps exchanges if samples are wanted.
        dataset: The examples.
        labels: What may be answered.
        survey: What the examples to solve are: all of the data set or, under a limit, its first ones.
        files: Where it is written.
        config: The merged options, for the results and for observers.
        plugins: Whose ``vlmkit_run_started``, ``vlmkit_prediction`` and ``vlmkit_run_finished`` observe it.
        taxonomy: The tree that the labels are leaves of, or None.
        limit: The limit, or None.
        calibration: What the strategy measured before it chose, where it is one that does.
        allowed: From the number of examples to how many of them may fail.
        warn: Told, once a plugin, that its observer raised.
    """

    pipeline: Pipeline
    dataset: Dataset
    labels: LabelSpace
    survey: Survey
    files: RunDirectory
    config: Mapping[str, Any]
    plugins: PluginHost
    taxonomy: Taxonomy | None = None
    limit: int | None = None
    calibration: Mapping[str, Any] | None = None
    allowed: Callable[[int], float] = lambda total: total / 100
    warn: Callable[[str], None] = print
    _warned: set[str] = field(factory=set, init=False, repr=False)

    @property
    def directory(self) -> Path:
        """The run directory."""
        return self.files.path

    def execute(self, observe: Callable[[Record], None] = lambda record: None) -> dict[str, Any]:
        """Solve every example that is not done; return the results of the whole run, which are then on disk.

        Args:
            observe: Called with each new record, right after it is on disk.

        Raises:
            UserError: The run cannot go on, or the model has answered nothing for a while; what is done stays on disk.
        """
        if self.taxonomy is not None:
            self.files.write_taxonomy(self.taxonomy)
        self._tell("vlmkit_run_started")
        failures = 0
        try:
            for solved in self.pipeline.solve(self._remaining(), self.labels, taxonomy=self.taxonomy):
                record = Record.of(solved)
                self.files.append(record, sample_lines(solved))
                self._tell("vlmkit_prediction", prediction=record)
                observe(record)
                failures = failures + 1 if isinstance(solved.error, BackendError) else 0
                if failures >= FAILURES_IN_A_ROW and failures > self.allowed(self._total):
                    raise UserError(
                        f"{failures} examples failed in a row, the last one with: {solved.error}",
                        hint="see to the model; the same command goes on from here, and --max-failures allows more",
                    )
        except KeyboardInterrupt:
            return self._finish("cancelled")
        except BaseException:
            # The disk may be what is wrong; the first error is the one to show.
            with suppress(RunDirectoryError):
                self._finish("failed")
            raise
        return self._finish("success")

    @property
    def _total(self) -> int:
        return len(self.files.done.union(self.survey.ids))

    def _remaining(self) -> Iterator[Example]:
        chosen = islice(self.dataset, self.limit)
        return (example for example in chosen if example.id not in self.files.done)

    def _finish(self, status: Status) -> dict[str, Any]:
        results = summary(
            self.files.records(),
            status=status,
            total=self._total,
            config=self.config,
            directory=str(self.directory),
            limit=self.limit,
            collisions=self.labels.collisions,
        )
        if self.calibration is not None:
            results["calibration"] = {key: self.calibration[key] for key in ("chosen", "reason")}
        n = results["n"]
        if status == "success" and n["failed"] > self.allowed(n["total"]):
            results["status"] = "failed"
        self.files.write_results(results)
        self._tell("vlmkit_run_finished", results=results)
        return results

    def _tell(self, hook: str, **given: Any) -> None:
        for name, error in call_each(self.plugins, hook, run=self, **given).items():
            if name not in self._warned:
                self._warned.add(name)
                self.warn(str(error))
