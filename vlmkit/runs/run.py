"""A run at work: solve what is not done, write each record, sum up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from attrs import field, frozen

from vlmkit.contracts import Dataset
from vlmkit.errors import RunDirectoryError
from vlmkit.registry.isolate import call_each
from vlmkit.runs.calibration import calibrate
from vlmkit.runs.directory import RunDirectory
from vlmkit.runs.experiment import Experiment
from vlmkit.runs.failures import FailureWatch
from vlmkit.runs.interruption import Interruption
from vlmkit.runs.record import Record
from vlmkit.runs.results import Status, summary
from vlmkit.runs.samples import sample_lines
from vlmkit.runs.stored import read_calibration, read_manifest
from vlmkit.types import Example, LabelSpace


@frozen
class Run:
    """An experiment in its directory. Use it in a ``with`` statement.

    Args:
        experiment: What is run.
        files: Where it is written.
        failed_only: Whether no other examples are asked about than those that failed before.
    """

    experiment: Experiment
    files: RunDirectory
    failed_only: bool = False
    _warned: set[str] = field(factory=set, init=False, repr=False)

    @classmethod
    def open(cls, experiment: Experiment, path: Path, *, fresh: bool = False, failed_only: bool = False) -> Self:
        """Start a run in a directory, or continue the one that is there.

        Args:
            experiment: What is run; told what is found there.
            path: The directory; made if it does not exist.
            fresh: Whether a run that is already there is refused.
            failed_only: Whether one that is there is asked for, and only its failed examples are tried again.

        Raises:
            RunDirectoryError: The directory cannot be used, holds a run of something else, or holds none to go on with.
            UserError: The strategy finds the request wrong; there is no directory then.
        """
        if failed_only and read_manifest(path) is None:
            raise RunDirectoryError(f"{path} holds no run whose failed examples could be tried again")
        experiment.pipeline.check(experiment.dataset, experiment.labels, taxonomy=experiment.taxonomy)
        asked = frozenset(experiment.survey.ids)
        files = RunDirectory.open(path, experiment.manifest, fresh=fresh, asked=asked)
        if files.continued:
            experiment.say(f"continuing {path}: {len(files.done):,} {experiment.resumed}")
        for found in files.notes:
            experiment.say(found)
        if failed_only and not files.failed:
            experiment.say("no example has failed, and no question is asked")
        return cls(experiment, files, failed_only)

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
        interruption = Interruption()
        try:
            self._calibrate()
            watching = self.experiment.watch(len(self.experiment.survey.ids), self.files.records())
            with watching as observe, interruption:
                self._solve(observe, lambda: interruption.asked)
        except KeyboardInterrupt:
            return self._finish("cancelled")
        except BaseException:
            # The disk may be what is wrong; the first error is the one to show.
            with suppress(RunDirectoryError):
                self._finish("failed")
            raise
        return self._finish("cancelled" if interruption.asked else "success")

    def _calibrate(self) -> None:
        calibration = calibrate(self.experiment.pipeline, self.labels, self.files)
        if calibration is not None:
            self.experiment.say(f"calibrated: {calibration['reason']}")

    def _solve(self, observe: Callable[[Record], None], stop: Callable[[], bool]) -> None:
        experiment = self.experiment
        watch = FailureWatch(experiment.allowed(self._total), fresh=not self.files.done)
        solve = partial(experiment.engine.solve, taxonomy=experiment.taxonomy, stop=stop)
        for solved in solve(experiment.pipeline, self._remaining(), self.labels):
            record = Record.of(solved)
            self.files.append(record, sample_lines(solved))
            self._tell("vlmkit_prediction", prediction=record)
            observe(record)
            watch.see(solved.error)

    @property
    def _total(self) -> int:
        return len(self.files.done.union(self.experiment.survey.ids))

    def _remaining(self) -> Iterator[Example]:
        chosen = islice(self.dataset, self.experiment.limit)
        if self.failed_only:
            return (example for example in chosen if example.id in self.files.failed)
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
        if n["done"] + n["failed"] < n["total"]:
            results["status"] = "unfinished" if status == "success" else status
        elif status != "failed":  # an interruption may come when all is done
            results["status"] = "failed" if n["failed"] > self.experiment.allowed(n["total"]) else "success"
        self.files.write_results(results)
        self._tell("vlmkit_run_finished", results=results)
        return results

    def _tell(self, hook: str, **given: Any) -> None:
        for name, error in call_each(self.experiment.plugins, hook, run=self, **given).items():
            if name not in self._warned:
                self._warned.add(name)
                self.experiment.warn(str(error))
