"""The figures of a strategy at one number of labels, over all seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Self

from attrs import frozen

from vlmkit.bench.collapse.lost import entries, losses
from vlmkit.measures import Interval, clustered
from vlmkit.runs import Record
from vlmkit.types import Usage

Pair = tuple[float, float]
"""A numerator and its denominator."""


@frozen
class Cost:
    """What an image costs on average.

    Args:
        queries: Questions.
        cached: Those of the questions whose answers came out of the answer cache, and cost nothing else.
        forwards: Passes of the language model.
        tokens: Tokens through the language model.
        seconds: Seconds in the backend.
        price: In the currency of the user's price table; 0 for local models.
    """

    queries: float
    cached: float
    forwards: float
    tokens: float
    seconds: float
    price: float

    @classmethod
    def of(cls, records: Sequence[Record]) -> Self:
        """Return the means over records, the failed ones included; there must be one."""
        whole = sum((record.usage for record in records), Usage())
        sums = whole.queries, whole.cached, whole.forwards, whole.tokens.total, whole.seconds, whole.cost
        return cls(*(value / len(records) for value in sums))


@frozen
class Level:
    """One round of a strategy. Intervals are 95 %.

    Args:
        images: Images that had this round.
        candidates: Labels that entered it, on average.
        survivors: Labels that left it, on average.
        shrink: Labels that left it over labels that entered it, of all images together.
        survival: Share of the images where the right label left it, among those where it had entered.
        none_rate: Share of its questions that were answered with ``None``.
        invalid_rate: Share of its questions whose reply was no option.
    """

    images: int
    candidates: float
    survivors: float
    shrink: float
    survival: Interval | None
    none_rate: Interval | None
    invalid_rate: Interval | None


@frozen
class Point:
    """One strategy at one number of labels.

    Args:
        strategy: Its spec.
        labels: Labels that it chose from.
        images: Images asked about, once for each seed.
        accuracy: Share of right answers among the images that did not fail, with its 95 % interval from a bootstrap
            that resamples images with all their seeds.
        by_seed: The share of each seed; None where all its images failed.
        cost: What an image costs.
        levels: The rounds, in order.
        lost: Where the right label was lost, from ``losses``; the sum is the number of wrong answers and failures.
    """

    strategy: str
    labels: int
    images: int
    accuracy: Interval | None
    by_seed: Mapping[int, float | None]
    cost: Cost
    levels: tuple[Level, ...]
    lost: Mapping[str, int]

    @classmethod
    def of(cls, strategy: str, labels: int, records: Mapping[int, Sequence[Record]]) -> Self:
        """Return the figures of the records of each seed."""
        everything = [record for several in records.values() for record in several]
        done = [record for record in everything if record.error is None]
        depth = max((len(record.trace) for record in done), default=0)
        names = ["accuracy", *(f"{name} {index}" for index in range(depth) for name in _RATES)]
        found = clustered(
            ((record.id, [(float(bool(record.correct)), 1.0), *_rates(record, depth)]) for record in done),
            names,
            shares=names,
        )
        return cls(
            strategy=strategy,
            labels=labels,
            images=len(everything),
            accuracy=found["accuracy"],
            by_seed={seed: _accuracy(several) for seed, several in records.items()},
            cost=Cost.of(everything),
            levels=tuple(_level(done, index, found) for index in range(depth)),
            lost=losses(everything),
        )


_RATES = ("survival", "none", "invalid")


def _rates(record: Record, depth: int) -> Iterator[Pair]:
    """Yield for each round what survived of what entered, and the questions without a choice among all."""
    for played, there in entries(record.trace):
        yield float(there and bool(played.target_survived)), float(there)
        yield played.none, played.queries
        yield played.invalid, played.queries
    yield from [(0.0, 0.0)] * (len(_RATES) * (depth - len(record.trace)))


def _level(done: Sequence[Record], index: int, found: Mapping[str, Interval | None]) -> Level:
    rounds = [record.trace[index] for record in done if index < len(record.trace)]
    candidates, survivors = (sum(one.candidates for one in rounds), sum(one.survivors for one in rounds))
    return Level(
        images=len(rounds),
        candidates=candidates / len(rounds),
        survivors=survivors / len(rounds),
        shrink=survivors / candidates,
        survival=found[f"survival {index}"],
        none_rate=found[f"none {index}"],
        invalid_rate=found[f"invalid {index}"],
    )


def _accuracy(records: Sequence[Record]) -> float | None:
    judged = [float(record.correct) for record in records if record.correct is not None]
    return fmean(judged) if judged else None
