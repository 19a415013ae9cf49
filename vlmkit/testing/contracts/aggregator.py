"""What every aggregator promises."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from math import isnan

from vlmkit.arbitrary import answer
from vlmkit.contracts import Aggregator
from vlmkit.errors import StrategyError
from vlmkit.testing.contracts.rules import Rules
from vlmkit.types import Ballot, Choose, Label, Likelihood, Ranking, Readout, Reply

_NAMES = tuple(f"label {number}" for number in range(9))


def check_aggregator(aggregator: Aggregator) -> None:
    """Hold an aggregator to its contract.

    It returns a ``Ranking`` of distinct names that the ballots offered, with scores that are numbers; the same ballots
    give the same ranking, whatever came before; ballots without a choice count for nothing, and no ballots give an
    empty ranking; the ballots are left as they are. An aggregator that needs scores may refuse ballots without them
    by a ``StrategyError``.

    Raises:
        ContractError: It breaks a rule.
    """
    rules = Rules(type(aggregator).__name__)
    refused = _ballots(Likelihood(), 3, refusals=1.0) + _ballots(Reply(), 3, refusals=1.0)
    for nothing, words in (((), "no ballots"), (refused, "ballots without a choice")):
        ranking = _aggregate(rules, aggregator, nothing)
        rules.demand(not ranking, f"{words} must give an empty ranking", f"gave {ranking}")
    for ballots in _worth_aggregating(aggregator):
        _check_case(rules, aggregator, ballots, refused)


def _check_case(rules: Rules, aggregator: Aggregator, ballots: Sequence[Ballot], refused: Sequence[Ballot]) -> None:
    ranking = _aggregate(rules, aggregator, ballots)
    offered = {name for ballot in ballots for name in ballot.options}
    unknown = [name for name in ranking.labels if name not in offered]
    rules.demand(not unknown, "only names from the ballots may be ranked", f"{unknown[:3]} were ranked")
    twice = sorted({name for name in ranking.labels if ranking.labels.count(name) > 1})
    rules.demand(not twice, "a name may be ranked once", f"{twice[:3]} stand several times")
    numbers = all(isinstance(score, int | float) and not isnan(score) for _, score in ranking)
    rules.demand(numbers, "scores must be numbers", f"the ranking was {ranking}")
    again = _aggregate(rules, aggregator, ballots)
    rules.demand(again == ranking, "the same ballots must give the same ranking", f"{ranking} became {again}")
    diluted = _aggregate(rules, aggregator, (*refused, *ballots, *refused))
    rules.demand(diluted == ranking, "ballots without a choice must count for nothing", f"{ranking} became {diluted}")


def _aggregate(rules: Rules, aggregator: Aggregator, ballots: Sequence[Ballot]) -> Ranking:
    given = list(ballots)
    with rules.no_error("any ballots must be aggregated"):
        ranking = aggregator(given)
    rules.demand(given == list(ballots), "the ballots must be left as they are", "their list was changed")
    rules.demand(isinstance(ranking, Ranking), "a Ranking must come back", f"a {type(ranking).__name__} came")
    return ranking


def _worth_aggregating(aggregator: Aggregator) -> Iterator[tuple[Ballot, ...]]:
    """Give ballots with scores, then those without unless the aggregator refuses them."""
    for count in (1, 2, 7):
        yield _ballots(Likelihood(), count)
    worded = _ballots(Reply(), 7)
    try:
        aggregator(list(worded))
    except StrategyError:
        return
    yield worded
    yield worded + _ballots(Likelihood(), 2)


def _ballots(readout: Readout, count: int, *, refusals: float = 0.0) -> tuple[Ballot, ...]:
    rng = random.Random(count)
    ballots = []
    for _ in range(count):
        options = [Label(name) for name in rng.sample(_NAMES, rng.randint(1, len(_NAMES)))]
        ballot = answer(Choose((), options, readout=readout, allow_none=True), refusals)
        assert isinstance(ballot, Ballot)
        ballots.append(ballot)
    return tuple(ballots)
