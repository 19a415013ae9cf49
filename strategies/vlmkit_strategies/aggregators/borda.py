"""The Borda count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from attrs import frozen

from vlmkit import Ballot, Ranking


@frozen
class Borda:
    """Points by rank, summed over ballots.

    With n labels ranked by any ballot, each ballot gives n points to its first, n - 1 to its second and so on, and
    none to a label that it does not rank: short ballots weigh no less than long ones at the top. A ballot without
    scores ranks its choice alone. A tie goes to the label met first.
    """

    def __call__(self, ballots: Sequence[Ballot]) -> Ranking:
        """Aggregate ballots; scores are points."""
        rankings = [ballot.ranking.labels for ballot in ballots if ballot.choice is not None]
        most = len({name for ranking in rankings for name in ranking})
        points: Counter[str] = Counter()
        for ranking in rankings:
            for rank, name in enumerate(ranking):
                points[name] += most - rank
        return Ranking.of(points.items())
