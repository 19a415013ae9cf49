"""A run that can be compared, and whether several are on the same examples."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Self

from attrs import evolve, field, frozen

from vlmkit.errors import RunDirectoryError
from vlmkit.runs import Record, StoredRun

_NAMED = 3
"""Examples that a message names."""


@frozen
class JudgedRun:
    """A run over examples whose right labels are known.

    Args:
        stored: The run.
        records: What became of each example, by id.
    """

    stored: StoredRun
    records: Mapping[str, Record] = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a run directory.

        Raises:
            RunDirectoryError: It holds no run, free questions were asked, or no example done has a target.
        """
        stored = StoredRun.read(path)
        records = {record.id: record for record in stored.records()}
        if any(record.text is not None for record in records.values()):
            raise RunDirectoryError(
                f"{path} holds replies to free questions, and a run does not record whether a text is right",
                hint="judge each by itself, for example with vlmkit mimic eval",
            )
        if all(record.correct is None for record in records.values()):
            raise RunDirectoryError(
                f"{path} has no prediction whose right label is known", hint="run it on data with targets"
            )
        return cls(stored, records)

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.stored.path

    @property
    def judged(self) -> Mapping[str, Record]:
        """The examples with a prediction and a target."""
        return {name: record for name, record in self.records.items() if record.correct is not None}

    def on(self, ids: Set[str]) -> Self:
        """Return the same run as if it had been on these examples alone."""
        return evolve(self, records={name: record for name, record in self.records.items() if name in ids})


def on_same_examples(runs: Sequence[JudgedRun], *, common: bool) -> list[JudgedRun]:
    """Return runs over the same examples.

    Args:
        runs: At least one.
        common: Whether examples that only some runs have are left out.

    Raises:
        RunDirectoryError: The runs are not on the same examples and labels; how they differ is named.
    """
    first, *others = runs
    for other in others:
        worse = [*_labels(first, other), *_targets(first, other)]
        missing = [] if common else [*_data(first, other), *_missing(first, other)]
        if worse or missing:
            raise RunDirectoryError(
                f"{first.path} and {other.path} cannot be compared: {'; '.join([*worse, *missing])}",
                hint="give runs over the same data and labels" if worse else "--common compares what they share",
            )
    if not common:
        return list(runs)
    shared = frozenset(first.records).intersection(*(other.records for other in others))
    if not any(name in shared for name in first.judged):
        raise RunDirectoryError("the runs share no example that is judged", hint="give runs over the same data")
    return [run.on(shared) for run in runs]


def _labels(first: JudgedRun, other: JudgedRun) -> Iterator[str]:
    one, two = (run.stored.fingerprint.get("labels") for run in (first, other))
    if one != two:
        numbers = [run.stored.manifest.get("labels", {}).get("number") for run in (first, other)]
        many = "" if None in numbers else f" ({numbers[0]:,} and {numbers[1]:,} labels)"
        yield f"the label spaces differ{many}"


def _targets(first: JudgedRun, other: JudgedRun) -> Iterator[str]:
    pairs = ((record, other.records[name]) for name, record in first.records.items() if name in other.records)
    differ = [f"{one.id!r}: {one.target!r} and {two.target!r}" for one, two in pairs if one.target != two.target]
    if differ:
        yield f"{len(differ):,} targets differ ({_some(differ)})"


def _data(first: JudgedRun, other: JudgedRun) -> Iterator[str]:
    one, two = (run.stored.fingerprint.get("data") for run in (first, other))
    if one != two:
        yield f"the data is {one} and {two}"


def _missing(first: JudgedRun, other: JudgedRun) -> Iterator[str]:
    for run, whole in ((other, first), (first, other)):
        lacking = [repr(name) for name in whole.records if name not in run.records]
        if lacking:
            state = "" if run.stored.status == "success" else f", which is {run.stored.status},"
            yield f"{run.path}{state} lacks {len(lacking):,} examples ({_some(lacking)})"


def _some(names: Collection[str]) -> str:
    return ", ".join([*list(names)[:_NAMED], *(["..."] if len(names) > _NAMED else [])])
