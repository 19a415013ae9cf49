"""Several survivors for each ballot."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import field, frozen
from attrs.validators import ge

from vlmkit import Ballot, Ranking


@frozen
class TopK:
    """The best options of each ballot with their scores, ballot by ballot; a label met twice stands once.

    A ballot without scores gives its choice alone.

    Args:
        k: Options taken from each ballot.
    """

    k: int = field(default=2, validator=ge(1))

    def __call__(self, ballots: Sequence[Ballot]) -> Ranking:
        """Aggregate ballots; scores are in nats and compare within one ballot only."""
        best: dict[str, float] = {}
        for ballot in ballots:
            if ballot.choice is not None:
                for name, score in ballot.ranking[: self.k]:
                    best.setdefault(name, score)
        return Ranking(best.items())
