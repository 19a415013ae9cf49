"""The directory of a run: its files, who may write them, and what is mended when it is opened again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from attrs import field, frozen

from vlmkit.errors import RunDirectoryError
from vlmkit.runs.convert import dumps, to_json
from vlmkit.runs.files import JsonLines, Lock, disk_errors, write_atomically
from vlmkit.runs.fingerprint import differences
from vlmkit.runs.record import Record
from vlmkit.runs.stored import (
    CALIBRATION,
    MANIFEST,
    PREDICTIONS,
    RESULTS,
    SAMPLES,
    TAXONOMY,
    read_manifest,
    read_records,
)
from vlmkit.taxonomy import paths
from vlmkit.types import Taxonomy

LOCK = ".lock"


@frozen
class RunDirectory:
    """A run directory that this process alone may write. Use it in a ``with`` statement.

    Args:
        path: The directory.
        continued: Whether it held this run already.
        done: Ids of the examples that have a record and keep it.
        failed: Ids of the failed examples whose records were dropped, so that they are tried again.
        notes: What was found and mended on opening, one sentence each.
    """

    path: Path
    continued: bool
    done: frozenset[str]
    failed: frozenset[str]
    notes: tuple[str, ...]
    _lock: Lock = field(repr=False)

    @classmethod
    def open(
        cls, path: Path, manifest: Mapping[str, Any], *, fresh: bool = False, asked: Collection[str] | None = None
    ) -> Self:
        """Start a run, or continue the one that is there.

        On continuing, a torn last line is cut off and failed examples are dropped, so that they are tried again. So are
        the results, which no longer hold: a run that is killed from then on has none.

        Args:
            path: The directory; made if it does not exist.
            manifest: What the new run's manifest shall say; its ``fingerprint`` must equal that of a run already
                there, and its ``session`` is added to it.
            fresh: Whether a run that is already there is refused.
            asked: Ids of the examples that may be tried again; by default all.

        Raises:
            RunDirectoryError: The directory cannot be written, is in use, holds something else, or holds a run with
                another fingerprint; the differences are named.
        """
        with disk_errors(path):
            path.mkdir(parents=True, exist_ok=True)
            others = any(not item.name.startswith(".") for item in path.iterdir())
        if others and read_manifest(path) is None:
            raise RunDirectoryError(f"{path} is not empty and holds no run", hint="give another --output")
        lock = Lock.take(path / LOCK)
        try:
            continued = _write_manifest(path, manifest, fresh=fresh)
            with disk_errors(path / RESULTS):
                (path / RESULTS).unlink(missing_ok=True)
            return cls(path, continued, *_mend(path, asked), lock)
        except BaseException:
            lock.release()
            raise

    def append(self, record: Record, samples: list[dict[str, Any]]) -> None:
        """Add one example; it is on the disk when this returns.

        Samples go first: those without a record are dropped when the run is continued, so that none stands twice.

        Raises:
            RunDirectoryError: It cannot be written; what was there is still whole.
        """
        self._lock.check()
        if samples:
            JsonLines(self.path / SAMPLES).append(*samples)
        JsonLines(self.path / PREDICTIONS).append(to_json(record))

    def records(self) -> Iterator[Record]:
        """Read the records, in the order in which they were written.

        Raises:
            RunDirectoryError: A line is no record.
        """
        return read_records(self.path)

    def write_taxonomy(self, taxonomy: Taxonomy) -> None:
        """Write ``taxonomy.json``, from each label to its path.

        Raises:
            RunDirectoryError: It cannot be written.
        """
        write_atomically(self.path / TAXONOMY, [paths.text(taxonomy).encode()])

    def write_calibration(self, report: Mapping[str, Any]) -> None:
        """Write ``calibration.json``, what a strategy measured before it chose.

        Raises:
            RunDirectoryError: It cannot be written.
        """
        write_atomically(self.path / CALIBRATION, [dumps(report, indent=2), b"\n"])

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Write ``results.json`` as a whole.

        Raises:
            RunDirectoryError: It cannot be written.
        """
        self._lock.check()
        write_atomically(self.path / RESULTS, [dumps(results, indent=2), b"\n"])

    def close(self) -> None:
        """Let other processes write the directory."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def check_same(path: Path, earlier: Mapping[str, Any], fingerprint: Mapping[str, Any]) -> None:
    """Make sure that a run directory is of this configuration.

    Args:
        path: The directory.
        earlier: Its manifest.
        fingerprint: What the results of the run that shall go on there depend on.

    Raises:
        RunDirectoryError: It is of another one; the differences are named.
    """
    changed = "; ".join(differences(earlier.get("fingerprint"), fingerprint))
    if changed:
        raise RunDirectoryError(
            f"{path} belongs to another configuration: {changed}", hint="give another --output, or leave it out"
        )


def _write_manifest(path: Path, manifest: Mapping[str, Any], *, fresh: bool) -> bool:
    """Write the manifest of a new run, or add a session to that of an earlier one; return whether there was one."""
    earlier = read_manifest(path)
    if earlier is None:
        merged = {**manifest, "resumed": []}
    elif fresh:
        raise RunDirectoryError(
            f"{path} already holds a run, which --fresh never overwrites", hint="give another --output"
        )
    else:
        check_same(path, earlier, manifest["fingerprint"])
        merged = {**earlier, "resumed": [*earlier.get("resumed", []), manifest["session"]]}
    write_atomically(path / MANIFEST, [dumps(merged, indent=2), b"\n"])
    return earlier is not None


def _mend(path: Path, asked: Collection[str] | None) -> tuple[frozenset[str], frozenset[str], tuple[str, ...]]:
    """Make the files whole; return the ids that keep their records, those that lose them, and what was found."""
    predictions, samples = JsonLines(path / PREDICTIONS), JsonLines(path / SAMPLES)
    notes = []
    if predictions.mend():
        notes.append(f"{predictions.path} ended in a torn line, which was cut off; its example is solved again")
    samples.mend()

    def again(line: Mapping[str, Any]) -> bool:
        return line.get("error") is not None and (asked is None or line.get("id") in asked)

    failed = frozenset(line.get("id", "") for line in predictions if again(line))
    if failed:
        predictions.keep(lambda line: not again(line))
        notes.append(f"{len(failed):,} failed example{'s are' if len(failed) > 1 else ' is'} tried again")
    done = frozenset(line.get("id", "") for line in predictions)
    samples.keep(lambda line: line.get("id") in done)
    return done, failed, tuple(notes)
