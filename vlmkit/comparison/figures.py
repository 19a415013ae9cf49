"""The figures of one run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Self

from attrs import field, frozen

from vlmkit.comparison.judged import JudgedRun
from vlmkit.measures import Calibration, Interval, RiskCoverage, Threshold, calibration, clustered, wilson
from vlmkit.runs import Record
from vlmkit.types import Usage
from vlmkit.types.tuples import as_tuple

RISKS = (0.01, 0.05, 0.1)
"""Shares of wrong predictions for which a threshold is sought."""

_POINTS = 10
"""Points of a risk-coverage curve, at equal steps of coverage."""

_SHARES = ("accuracy", "top5_accuracy", "none_rate", "invalid_rate")


@frozen
class Cost:
    """What one example with a prediction cost, that of failed ones shared out.

    Args:
        queries: Questions answered.
        forwards: Language-model forwards.
        tokens: Tokens through the language model.
        seconds: Seconds in the backend.
    """

    queries: float
    forwards: float
    tokens: float
    seconds: float

    @classmethod
    def of(cls, records: Sequence[Record]) -> Self:
        """Return the mean cost over records."""
        usage = sum((record.usage for record in records), Usage())
        done = sum(record.error is None for record in records) or 1
        return cls(usage.queries / done, usage.forwards / done, usage.tokens.total / done, usage.seconds / done)


@frozen
class Operating:
    """Where to abstain so that few of the predictions kept are wrong, as found on these examples.

    Args:
        risk: Share of wrong predictions that is allowed.
        threshold: The threshold that keeps most; None where none does.
    """

    risk: float
    threshold: Threshold | None


@frozen
class Confidences:
    """How far the confidences of a run can be used.

    Args:
        calibration: Whether they mean what they say.
        curve: The risk-coverage curve, at each tenth of the predictions.
        aurc: Area under it.
        operating: Where to abstain.
        unscored: Judged examples without a confidence, which are in none of this.
    """

    calibration: Calibration
    curve: tuple[Threshold, ...] = field(converter=as_tuple)
    aurc: float
    operating: tuple[Operating, ...] = field(converter=as_tuple)
    unscored: int

    @classmethod
    def of(cls, judged: Sequence[Record]) -> Self | None:
        """Return the figures over judged examples; None where none has a confidence."""
        scored = [(record.confidence, bool(record.correct)) for record in judged if record.confidence is not None]
        sure, right = [confidence for confidence, _ in scored], [correct for _, correct in scored]
        found = calibration(sure, right)
        if found is None:
            return None
        curve = RiskCoverage.of(sure, right)
        points = [curve.keeping(step / _POINTS) for step in range(1, _POINTS + 1)]
        operating = [Operating(risk, curve.threshold(risk)) for risk in RISKS]
        return cls(found, points, curve.area, operating, len(judged) - len(scored))


@frozen
class RunFigures:
    """The figures of one run.

    Args:
        directory: Its directory.
        status: How it ended; ``unfinished`` where it has not.
        done: Examples with a prediction.
        failed: Examples without one.
        clusters: Different pictures, or groups of pictures, among the examples done.
        shares: Accuracy, top-5 accuracy, and the rates of ``None`` and of invalid replies, by name.
        cost: What an example cost.
        confidences: What the confidences are worth; None where there are none.
    """

    directory: str
    status: str
    done: int
    failed: int
    clusters: int
    shares: Mapping[str, Interval | None]
    cost: Cost
    confidences: Confidences | None

    @classmethod
    def of(cls, run: JudgedRun) -> Self:
        """Return the figures of a run."""
        records = list(run.records.values())
        done = [record for record in records if record.error is None]
        return cls(
            directory=str(run.path),
            status=run.stored.status,
            done=len(done),
            failed=len(records) - len(done),
            clusters=len({cluster(record) for record in done}),
            shares=_shares(done),
            cost=Cost.of(records),
            confidences=Confidences.of(list(run.judged.values())),
        )


def cluster(record: Record) -> str:
    """Return what an example varies together with: its pictures, where the record tells them."""
    return record.pictures or record.id


def _shares(done: Sequence[Record]) -> dict[str, Interval | None]:
    """Return proportions with intervals that respect examples which show the same picture.

    Where no picture stands twice, the Wilson interval holds for those that count examples.
    """
    found = dict(clustered(((cluster(record), _counts(record)) for record in done), _SHARES, shares=_SHARES))
    if max(Counter(map(cluster, done)).values(), default=1) == 1:
        for name in _SHARES[:2]:
            share = found[name]
            found[name] = share and wilson(round(share.value * share.n), share.n)
    return found


def _counts(record: Record) -> list[tuple[float, float]]:
    judged = record.correct is not None
    queries = sum(played.queries for played in record.trace)
    return [
        (bool(record.correct), judged),
        (judged and record.in_top5, judged),
        (sum(played.none for played in record.trace), queries),
        (sum(played.invalid for played in record.trace), queries),
    ]
