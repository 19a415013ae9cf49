"""One survivor for each ballot."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from vlmkit import Ballot, Ranking


@frozen
class Winners:
    """The choice of each ballot with its score, in the order of the ballots; a label chosen twice stands once.

    Source: arXiv 2605.24799, Algorithm 1.
    """

    def __call__(self, ballots: Sequence[Ballot]) -> Ranking:
        """Aggregate ballots; scores are in nats and compare within one ballot only."""
        winners: dict[str, float] = {}
        for ballot in ballots:
            if ballot.choice is not None:
                winners.setdefault(ballot.choice, dict(ballot.ranking)[ballot.choice])
        return Ranking(winners.items())
