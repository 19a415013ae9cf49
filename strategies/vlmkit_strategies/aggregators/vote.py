"""Plurality voting."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import fsum

from attrs import frozen

from vlmkit import Ballot, Ranking


@frozen
class Vote:
    """The number of ballots that chose a label.

    A tie goes to the label with the greater mean score over the ballots that chose it, then to the one met first.
    """

    def __call__(self, ballots: Sequence[Ballot]) -> Ranking:
        """Aggregate ballots; scores are numbers of votes."""
        scores: defaultdict[str, list[float]] = defaultdict(list)
        for ballot in ballots:
            if ballot.choice is not None:
                scores[ballot.choice].append(dict(ballot.ranking)[ballot.choice])
        by_mean = Ranking.of((name, fsum(votes) / len(votes)) for name, votes in scores.items())
        return Ranking.of((name, len(scores[name])) for name in by_mean.labels)
