"""The figures of a run anew, from its records: no model is asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from attrs import frozen

from vlmkit.errors import RunDirectoryError
from vlmkit.runs.convert import dumps
from vlmkit.runs.directory import LOCK
from vlmkit.runs.files import Lock, write_atomically
from vlmkit.runs.fingerprint import differences
from vlmkit.runs.results import summary
from vlmkit.runs.stored import RESULTS, StoredRun


@frozen
class Rescored:
    """What ``results.json`` said, and what it says now.

    Args:
        directory: The run directory.
        before: The results that were there, or None.
        after: Those that are there now.
    """

    directory: Path
    before: Mapping[str, Any] | None
    after: Mapping[str, Any]

    @property
    def changed(self) -> tuple[str, ...]:
        """What is different, key by key: ``metrics.accuracy.value was 0.5, is 0.6``; empty if there was nothing."""
        return () if self.before is None else tuple(differences(self.before, self.after))

    @classmethod
    def of(cls, directory: Path) -> Self:
        """Sum up the records of a run and write its results, unless they are there already.

        How many examples there are, and how the run ended, is what the earlier results say. Without these the run is
        ``unfinished`` and has as many examples as records.

        Raises:
            RunDirectoryError: There is no run, it is at work, a line is damaged, the results cannot be written, or they
                hold figures of another command.
        """
        StoredRun.read(directory)  # a lock is no business of a directory without a run
        lock = Lock.take(directory / LOCK)
        try:
            stored = StoredRun.read(directory)
            after = _summed_up(stored)
            rescored = cls(directory, stored.results, after)
            if stored.results is None or rescored.changed:
                write_atomically(directory / RESULTS, [dumps(after, indent=2), b"\n"])
        finally:
            lock.release()
        return rescored


def _summed_up(stored: StoredRun) -> dict[str, Any]:
    before, manifest = stored.results or {}, stored.manifest
    config = before.get("config") or [manifest["session"], *manifest["resumed"]][-1]["config"]
    after = summary(
        stored.records(),
        status=before.get("status", "unfinished"),
        total=0,
        config=config,
        directory=before.get("directory", str(stored.path)),
        limit=config.get("limit"),
        collisions=manifest["labels"]["collisions"],
        abstain_below=config.get("abstain_below", 0.0),
    )
    others = before.get("metrics", {}).keys() - after["metrics"].keys()
    if others:
        raise RunDirectoryError(
            f"the results of {stored.path} hold figures of another command ({', '.join(sorted(others)[:3])})",
            hint="give the run to that command again",
        )
    n = after["n"]
    n["total"] = max(before.get("n", {}).get("total", 0), n["done"] + n["failed"])
    if after["status"] == "success" and n["done"] + n["failed"] < n["total"]:
        after["status"] = "unfinished"
    return {**before, **after}
