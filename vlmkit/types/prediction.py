"""What a strategy returns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import field, frozen

from vlmkit.types.answer import Ballot, Outcome, Ranking
from vlmkit.types.tuples import as_tuple


@frozen
class Round:
    """One round of a strategy: what went in, what was asked, who survived.

    Args:
        candidates: Labels that entered the round.
        queries: Questions asked in it.
        survivors: Names that left it, in order.
        none: Questions answered with ``None``.
        invalid: Questions whose reply was no option.
    """

    candidates: int
    queries: int
    survivors: tuple[str, ...] = field(converter=as_tuple)
    none: int = 0
    invalid: int = 0

    @classmethod
    def of(cls, candidates: int, ballots: Sequence[Ballot], survivors: Iterable[str] | None = None) -> Round:
        """Return the round that these ballots answered; unless told otherwise, their choices survive."""
        outcomes = [ballot.outcome for ballot in ballots]
        return cls(
            candidates=candidates,
            queries=len(ballots),
            survivors=[b.choice for b in ballots if b.choice is not None] if survivors is None else survivors,
            none=outcomes.count(Outcome.NONE),
            invalid=outcomes.count(Outcome.INVALID),
        )


@frozen
class Prediction:
    """The result for one example.

    Args:
        label: Name of the predicted label, or None when the strategy found none. Where the answer is an inner node of
            the task's taxonomy, that node's label, which no leaf has.
        ranking: The strategy's last ranking, best first; may hold fewer names than the label space.
        trace: The rounds, in order.
        text: The reply to an ``Ask`` task, else None.
        path: Names from the top of the task's taxonomy down to the predicted node. A strategy that asks about every
            level by itself gives its answers as they are, though they may lie on no way down; a level without an
            answer is "". Empty where the strategy knows of no taxonomy.
    """

    label: str | None
    ranking: Ranking = field(factory=Ranking)
    trace: tuple[Round, ...] = field(default=(), converter=as_tuple)
    text: str | None = None
    path: tuple[str, ...] = field(default=(), converter=as_tuple)
