"""For every rule of the aggregator contract, an aggregator that breaks it is caught."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from vlmkit import Ranking
from vlmkit.testing import ContractError, check_aggregator
from vlmkit_strategies.aggregators import Winners


def ranked(*names: str) -> Ranking:
    return Ranking([(name, 0.0) for name in names])


def counting() -> Callable:
    calls = count()
    return lambda ballots: Ranking([(name, score - next(calls)) for name, score in Winners()(ballots)])


def averaging(ballots):
    return Ranking([(name, score / len(ballots)) for name, score in Winners()(ballots)])


def emptying(ballots):
    ranking = Winners()(ballots)
    ballots.clear()
    return ranking


BROKEN_AGGREGATORS = [
    (lambda ballots: [], "a Ranking must come back, but a list came"),
    (lambda ballots: ranked(ballots[0].options[0]), "any ballots must be aggregated, but it raised IndexError"),
    (lambda ballots: ranked("label 1"), "no ballots must give an empty ranking"),
    (lambda ballots: ranked(*dict.fromkeys(ballot.options[0] for ballot in ballots)), "ballots without a choice must"),
    (lambda ballots: ranked("unicorn") if Winners()(ballots) else Ranking(), "only names from the ballots.*unicorn"),
    (lambda ballots: Ranking([*Winners()(ballots)] * 2), "a name may be ranked once"),
    (lambda ballots: Ranking([(name, float("nan")) for name in Winners()(ballots).labels]), "scores must be numbers"),
    (averaging, "ballots without a choice must count for nothing"),
    (emptying, "the ballots must be left as they are"),
    (counting(), "the same ballots must give the same ranking"),
]


@pytest.mark.parametrize(("aggregator", "message"), BROKEN_AGGREGATORS)
def test_broken_aggregators_are_caught(aggregator, message):
    with pytest.raises(ContractError, match=message):
        check_aggregator(aggregator)
