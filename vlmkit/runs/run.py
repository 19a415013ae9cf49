"""A run at work: solve what is not done, write each record, sum up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from attrs import field, frozen

from vlmkit.contracts import Dataset
from vlmkit.errors import BackendError, RunDirectoryError, UserError
from vlmkit.registry.isolate import call_each
from vlmkit.runs.calibration import calibrate
from vlmkit.runs.directory import RunDirectory
from vlmkit.runs.experiment import Experiment
from vlmkit.runs.record import Record
from vlmkit.runs.results import Status, summary
from vlmkit.runs.samples import sample_lines
from vlmkit.runs.stored import read_calibration
from vlmkit.types import Example, LabelSpace

FAILURES_IN_A_ROW = 20
"""Examples that the model fails one after the other before a run ends, if they are more than may fail as well."""


@frozen
class Run:
    """An experiment in its directory. Use it in a ``with`` statement.

    Args:
        experiment: What is run.
        files: Where it is written.
    """

    experiment: Experiment
    files: RunDirectory
    _warned: set[str] = field(factory=set, init=False, repr=False)

    @classmethod
    def open(cls, experiment: Experiment, path: Path, *, fresh: bool = False) -> Self:
        """Start a run in a directory, or continue the one that is there.

        Args:
            experiment: What is run; told what is found there.
            path: The directory; made if it does not exist.
            fresh: Whether a run that is already there is refused.

        Raises:
            RunDirectoryError: The directory cannot be used, or holds a run of something else.
        """
        files = RunDirectory.open(path, experiment.manifest, fresh=fresh)
        if files.continued:
            experiment.say(f"continuing {path}: {len(files.done):,} {experiment.resumed}")
        for found in files.notes:
            experiment.say(found)
        return cls(experiment, files)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.files.close()

    @property
    def directory(self) -> Path:
        """The run directory."""
        return self.files.path

    @property
    def config(self) -> Mapping[str, Any]:
        """The merged options."""
        return self.experiment.config

    @property
    def dataset(self) -> Dataset:
        """The examples."""
        return self.experiment.dataset

    @property
    def labels(self) -> LabelSpace:
        """What may be answered."""
        return self.experiment.labels

    def execute(self) -> dict[str, Any]:
        """Solve every example that is not done; return the results of the whole run, which are then on disk.

        Raises:
            UserError: The run cannot go on, or the model has answered nothing for a while; what is done stays on disk.
        """
        if self.experiment.taxonomy is not None:
            self.files.write_taxonomy(self.experiment.taxonomy)
        self._tell("vlmkit_run_started")
        try:
            self._calibrate()
            with self.experiment.watch(len(self.experiment.survey.ids), self.files.records()) as observe:
                self._solve(observe)
        except KeyboardInterrupt:
            return self._finish("cancelled")
        except BaseException:
            # The disk may be what is wrong; the first error is the one to show.
            with suppress(RunDirectoryError):
                self._finish("failed")
            raise
        return self._finish("success")

    def _calibrate(self) -> None:
        calibration = calibrate(self.experiment.pipeline, self.labels, self.files)
        if calibration is not None:
            self.experiment.say(f"calibrated: {calibration['reason']}")

    def _solve(self, observe: Callable[[Record], None]) -> None:
        experiment, failures = self.experiment, 0
        solve = experiment.engine.solve
        for solved in solve(experiment.pipeline, self._remaining(), self.labels, taxonomy=experiment.taxonomy):
            record = Record.of(solved)
            self.files.append(record, sample_lines(solved))
            self._tell("vlmkit_prediction", prediction=record)
            observe(record)
            failures = failures + 1 if isinstance(solved.error, BackendError) else 0
            if failures >= FAILURES_IN_A_ROW and failures > experiment.allowed(self._total):
                raise UserError(
                    f"{failures} examples failed in a row, the last one with: {solved.error}",
                    hint="see to the model; the same command goes on from here, and --max-failures allows more",
                )

    @property
    def _total(self) -> int:
        return len(self.files.done.union(self.experiment.survey.ids))

    def _remaining(self) -> Iterator[Example]:
        chosen = islice(self.dataset, self.experiment.limit)
        return (example for example in chosen if example.id not in self.files.done)

    def _finish(self, status: Status) -> dict[str, Any]:
        results = summary(
            self.files.records(),
            status=status,
            total=self._total,
            config=self.config,
            directory=str(self.directory),
            limit=self.experiment.limit,
            collisions=self.labels.collisions,
            abstain_below=self.experiment.abstain_below,
        )
        calibration = read_calibration(self.directory)
        if calibration is not None:
            results["calibration"] = {key: calibration[key] for key in ("chosen", "reason")}
        n = results["n"]
        if status == "success" and n["failed"] > self.experiment.allowed(n["total"]):
            results["status"] = "failed"
        self.files.write_results(results)
        self._tell("vlmkit_run_finished", results=results)
        return results

    def _tell(self, hook: str, **given: Any) -> None:
        for name, error in call_each(self.experiment.plugins, hook, run=self, **given).items():
            if name not in self._warned:
                self._warned.add(name)
                self.experiment.warn(str(error))
