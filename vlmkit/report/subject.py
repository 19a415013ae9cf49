"""A run as a report sees it: read once, with a name that tells it from the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from attrs import field, frozen

from vlmkit.errors import SpecError
from vlmkit.registry import Spec
from vlmkit.runs import Record, StoredRun, Tally
from vlmkit.types import Taxonomy


class Outcome(StrEnum):
    """What became of an example, in one word."""

    RIGHT = "right"
    WRONG = "wrong"
    NONE = "none"
    """The strategy found no label."""
    FAILED = "failed"
    UNJUDGED = "unjudged"
    """There is a prediction and nothing to judge it by."""

    @classmethod
    def of(cls, record: Record) -> Outcome:
        """Return the outcome of a record."""
        if record.error is not None:
            return cls.FAILED
        if record.label is None and record.text is None:
            return cls.NONE
        if record.correct is None:
            return cls.UNJUDGED
        return cls.RIGHT if record.correct else cls.WRONG


@frozen(slots=False)
class Subject:
    """One run of a report.

    Args:
        name: Tells it from the other runs of the report.
        stored: The run directory.
        records: What became of each example so far.
        taxonomy: The tree that its labels are leaves of, or None.
        tally: Sums over the records.
    """

    name: str
    stored: StoredRun
    records: tuple[Record, ...] = field(repr=False)
    taxonomy: Taxonomy | None = field(repr=False)
    tally: Tally = field(init=False, repr=False)

    @tally.default
    def _sums(self) -> Tally:
        return Tally.of(self.records)

    @property
    def status(self) -> str:
        """How the run ended, or ``unfinished`` where it has not, or goes on."""
        results = self.stored.results
        if results is None or results["n"]["done"] + results["n"]["failed"] != len(self.records):
            return "unfinished"
        return self.stored.status

    @property
    def finished(self) -> bool:
        """Whether every example was tried."""
        return self.total == len(self.records)

    @property
    def total(self) -> int | None:
        """Examples that the run was asked to solve; None before it has ended once."""
        return None if self.stored.results is None else int(self.stored.results["n"]["total"])

    @property
    def progress(self) -> str:
        """How many examples were tried, of how many as far as that is known."""
        return f"{len(self.records):,} examples" + ("" if self.total is None else f" of {self.total:,}")

    @property
    def limit(self) -> int | None:
        """The ``--limit`` that was set; figures under one are not for reporting."""
        limit: int | None = _config(self.stored).get("limit")
        return limit

    @property
    def data(self) -> str:
        """Spec of the data set."""
        return _data(self.stored)

    @property
    def labels(self) -> int:
        """Number of labels; 0 where the manifest does not say."""
        return _labels(self.stored)

    @property
    def facts(self) -> dict[str, str]:
        """What was run, with what, when and where, by name."""
        manifest = self.stored.manifest
        session, shape = manifest["session"], manifest.get("taxonomy")
        versions = session.get("versions", {})
        facts = {
            **_identity(self.stored),
            "data": self.data,
            "taxonomy": f"{shape['leaves']:,} leaves, {shape['depth']} levels" if shape else "",
            "limit": "" if self.limit is None else f"{self.limit:,} (not for reporting)",
            "precision": str(manifest.get("model", {}).get("dtype") or ""),
            "started": str(session.get("started", "")).replace("T", " ").replace("+00:00", " UTC"),
            "resumed": _times(len(manifest.get("resumed", []))),
            "device": str(session.get("device") or ""),
            "machine": str(session.get("platform", "")),
            "versions": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
            "directory": str(self.stored.path),
        }
        return {name: value for name, value in facts.items() if value}

    @property
    def method(self) -> dict[str, str]:
        """What was run apart from the number of labels: runs that share it are points of one curve."""
        return {key: value for key, value in _identity(self.stored).items() if key != "labels"}


def read_subjects(paths: Sequence[Path]) -> list[Subject]:
    """Read run directories, each once.

    Raises:
        RunDirectoryError: One holds no run, or cannot be read.
        TaxonomyError: The taxonomy of one cannot be read.
    """
    runs = [StoredRun.read(path) for path in dict.fromkeys(paths)]
    names = distinct_names([_identity(run) for run in runs], [run.path.resolve().name for run in runs])
    return [Subject(name, run, tuple(run.records()), run.taxonomy()) for name, run in zip(names, runs, strict=True)]


def distinct_names(identities: Sequence[Mapping[str, str]], directories: Sequence[str]) -> list[str]:
    """Return a name for each run: its strategy, what else is not the same in all, and where needed its directory."""
    differing = [
        key for key in identities[0] if key != "strategy" and len({identity[key] for identity in identities}) > 1
    ]
    names = [
        ", ".join([identity["strategy"], *(_said(key, identity[key]) for key in differing)]) for identity in identities
    ]
    return list(_told_apart(names, directories))


def _told_apart(names: Sequence[str], directories: Sequence[str]) -> Iterator[str]:
    times = Counter(names)
    longer = [
        name if times[name] == 1 else f"{name} ({directory})"
        for name, directory in zip(names, directories, strict=True)
    ]
    seen: Counter[str] = Counter()
    for name in longer:
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name} [{seen[name]}]"


def _said(key: str, value: str) -> str:
    return f"{key} {value}" if key in ("prompt", "seed") else f"{value} {key}" if key == "labels" else value


def _identity(run: StoredRun) -> dict[str, str]:
    config = _config(run)
    fingerprint = run.fingerprint
    described = fingerprint.get("strategy")
    kind = described.get("type", "") if isinstance(described, Mapping) else ""
    return {
        "strategy": str(config.get("strategy") or kind.rpartition(".")[2].lower() or "-"),
        "model": str(run.manifest.get("model", {}).get("model") or config.get("model") or "-"),
        "data": _without_labels(_data(run)),
        "labels": f"{_labels(run):,}",
        "prompt": str(config.get("prompt") or "choose"),
        "seed": str(fingerprint.get("seed", 0)),
    }


def _data(run: StoredRun) -> str:
    return str(run.fingerprint.get("data") or _config(run).get("data") or "-")


def _times(number: int) -> str:
    return "" if number == 0 else "once" if number == 1 else f"{number:,} times"


def _without_labels(data: str) -> str:
    """Return the spec of a data set without its number of labels, which is named for itself."""
    try:
        spec = Spec.parse(data)
    except SpecError:  # data that a plugin named in its own way
        return data
    return str(Spec(spec.name, [pair for pair in spec.options if pair[0] != "labels"]))


def _labels(run: StoredRun) -> int:
    return int(run.manifest.get("labels", {}).get("number", 0))


def _config(run: StoredRun) -> Mapping[str, Any]:
    config: Mapping[str, Any] = run.manifest["session"].get("config") or {}
    return config
