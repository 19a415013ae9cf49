"""The figures of a run, and of each round of its strategy."""

from __future__ import annotations

from collections import Counter
from typing import Self

from attrs import frozen

from vlmkit.measures import wilson
from vlmkit.measures.interval import Interval
from vlmkit.report.subject import Outcome, Subject
from vlmkit.runs.record import RoundRecord


@frozen
class Figures:
    """What a run came to.

    Args:
        outcomes: Examples by outcome.
        accuracy: Share of the judged examples whose label is the target.
        top5: Share of them whose target is among the best five of the ranking.
        none: Share of the questions answered with ``None``.
        invalid: Share of the questions whose reply was no option.
        queries: Questions an example.
        forwards: Language-model forwards an example.
        tokens: Tokens through the language model an example.
        seconds: Seconds in the model an example.
        cost: Price of the whole run, in the currency of the user's price table; 0 without one.
    """

    outcomes: Counter[Outcome]
    accuracy: Interval | None
    top5: Interval | None
    none: Interval | None
    invalid: Interval | None
    queries: float
    forwards: float
    tokens: float
    seconds: float
    cost: float

    @classmethod
    def of(cls, subject: Subject) -> Self:
        """Return the figures of a run; costs are shared out over the examples tried, the failed ones included."""
        tally, tried = subject.tally, len(subject.records) or 1
        return cls(
            outcomes=Counter(map(Outcome.of, subject.records)),
            accuracy=wilson(tally.correct, tally.judged),
            top5=wilson(tally.in_top5, tally.judged),
            none=wilson(tally.none, tally.queries),
            invalid=wilson(tally.invalid, tally.queries),
            queries=tally.usage.queries / tried,
            forwards=tally.usage.forwards / tried,
            tokens=tally.usage.tokens.total / tried,
            seconds=tally.usage.seconds / tried,
            cost=tally.usage.cost,
        )


@frozen
class RoundFigures:
    """What one round of a strategy came to, over the examples that had it.

    Args:
        examples: How many had it.
        candidates: Labels that entered it, on average.
        queries: Questions asked in it, on average.
        survivors: Labels that left it, on average.
        target: Share of the examples with a target whose target left it.
    """

    examples: int
    candidates: float
    queries: float
    survivors: float
    target: Interval | None


def round_figures(subject: Subject) -> list[RoundFigures]:
    """Return the figures of each round, in order."""
    traces = [record.trace for record in subject.records]
    deepest = max(map(len, traces), default=0)
    return [_round([trace[index] for trace in traces if len(trace) > index]) for index in range(deepest)]


def _round(played: list[RoundRecord]) -> RoundFigures:
    known = [one.target_survived for one in played if one.target_survived is not None]
    number = len(played)
    return RoundFigures(
        examples=number,
        candidates=sum(one.candidates for one in played) / number,
        queries=sum(one.queries for one in played) / number,
        survivors=sum(one.survivors for one in played) / number,
        target=wilson(sum(known), len(known)),
    )
