"""Several runs over the same examples: each by itself, what sets them apart, and pair by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Self

from attrs import field, frozen

from vlmkit.comparison.figures import RunFigures, cluster
from vlmkit.comparison.judged import JudgedRun, on_same_examples
from vlmkit.errors import RunDirectoryError
from vlmkit.measures import Paired, holm, paired
from vlmkit.runs import leaves
from vlmkit.types.tuples import as_tuple


@frozen
class Pair:
    """Two runs, A and B, held against each other.

    Args:
        a: Directory of A.
        b: Directory of B.
        left_out: Examples that are not judged in both, because one of them failed.
        compared: How they differ on the others.
        p_holm: The p value, adjusted for the number of pairs.
    """

    a: str
    b: str
    left_out: int
    compared: Paired
    p_holm: float


@frozen
class Comparison:
    """Several runs over the same examples.

    Args:
        runs: The figures of each.
        differences: What differs between their fingerprints, by dotted key: the value in each run, None where it has
            no such key.
        pairs: Every two of them, or each with the baseline.
    """

    runs: tuple[RunFigures, ...] = field(converter=as_tuple)
    differences: Mapping[str, tuple[Any, ...]]
    pairs: tuple[Pair, ...] = field(converter=as_tuple)

    @classmethod
    def read(cls, paths: Sequence[Path], *, baseline: Path | None = None, common: bool = False) -> Self:
        """Read and compare run directories.

        Args:
            paths: At least two different ones.
            baseline: One that all others are held against; by default every two are.
            common: Whether examples that only some runs have are left out.

        Raises:
            RunDirectoryError: A run cannot be read or has nothing to compare, or they are not on the same examples.
            UserError: scipy is missing.
        """
        distinct: dict[Path, Path] = {}
        for path in [*([] if baseline is None else [baseline]), *paths]:
            distinct.setdefault(path.resolve(), path)
        if len(distinct) < 2:
            raise RunDirectoryError("one run alone cannot be compared", hint="give two different run directories")
        runs = [JudgedRun.read(path) for path in distinct.values()]
        return cls.of(runs, with_first=baseline is not None, common=common)

    @classmethod
    def of(cls, runs: Sequence[JudgedRun], *, with_first: bool = False, common: bool = False) -> Self:
        """Compare runs.

        Args:
            runs: At least two.
            with_first: Whether only pairs with the first run are looked at.
            common: Whether examples that only some runs have are left out.

        Raises:
            RunDirectoryError: They are not on the same examples.
            UserError: scipy is missing.
        """
        same = on_same_examples(runs, common=common)
        pairs = [(same[0], other) for other in same[1:]] if with_first else list(combinations(same, 2))
        compared = [_compared(a, b) for a, b in pairs]
        adjusted = holm([one.p for one in compared])
        return cls(
            runs=[RunFigures.of(run) for run in same],
            differences=_differences([run.stored.fingerprint for run in same]),
            pairs=[
                Pair(str(a.path), str(b.path), len(a.records) - one.n, one, p)
                for (a, b), one, p in zip(pairs, compared, adjusted, strict=True)
            ],
        )


def _compared(a: JudgedRun, b: JudgedRun) -> Paired:
    ours, theirs = a.judged, b.judged
    both = [name for name in ours if name in theirs]
    compared = paired(
        [bool(ours[name].correct) for name in both],
        [bool(theirs[name].correct) for name in both],
        [cluster(ours[name]) for name in both],
    )
    if compared is None:
        raise RunDirectoryError(
            f"no example has a prediction both in {a.path} and in {b.path}", hint="run the same command again on each"
        )
    return compared


def _differences(fingerprints: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    flat = [dict(leaves(fingerprint)) for fingerprint in fingerprints]
    keys = dict.fromkeys(key for one in flat for key in one)
    rows = {key: tuple(one.get(key) for one in flat) for key in keys}
    return {key: values for key, values in rows.items() if any(value != values[0] for value in values)}
