"""A product of experts."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

import numpy as np
from attrs import frozen

from vlmkit import Ballot, Ranking
from vlmkit.errors import StrategyError


@frozen
class Product:
    """The sum over ballots of each label's log-probability, normalised over the options of the ballot.

    A label that a ballot does not list counts there as its worst option: it was left out for one that is listed.
    A tie goes to the label met first.
    """

    def __call__(self, ballots: Sequence[Ballot]) -> Ranking:
        """Aggregate ballots; scores are log-probabilities in nats.

        Raises:
            StrategyError: A ballot has a choice but no scores.
        """
        experts = [_log_probabilities(ballot) for ballot in ballots if ballot.choice is not None]
        names = dict.fromkeys(name for expert in experts for name in expert)
        return Ranking.of((name, fsum(expert.get(name, min(expert.values())) for expert in experts)) for name in names)


def _log_probabilities(ballot: Ballot) -> dict[str, float]:
    if ballot.log_probs is None:
        raise StrategyError(
            "aggregator product needs scores, and a ballot has none",
            hint="use readout=likelihood or letter, or aggregator=borda",
        )
    scores = np.array(ballot.log_probs)
    return dict(zip(ballot.options, (scores - np.logaddexp.reduce(scores)).tolist(), strict=True))
