"""A complete third-party plugin: the strategy ``knockout`` and the aggregator ``underdog``."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from vlmkit import Ballot, Capability, Classify, Likelihood, Prediction, Ranking, Registry, Round, Solving, hookimpl


@frozen
class Knockout:
    """Labels meet in pairs, the winner goes on, the list order is the draw."""

    requires = frozenset({Capability.LIKELIHOOD})

    def solve(self, task: Classify) -> Solving:
        """Play rounds of pairs until one label is left."""
        labels, trace = list(task.labels), []
        while len(labels) > 1:
            pairs = [labels[i : i + 2] for i in range(0, len(labels) - 1, 2)]
            ballots = yield [task.choose(pair, readout=Likelihood(normalise="mean")) for pair in pairs]
            winners = [task.labels.label(ballot.choice) for ballot in ballots]
            winners += labels[len(pairs) * 2 :]  # an odd label out goes on without a match
            trace.append(Round(len(labels), len(pairs), [label.name for label in winners]))
            labels = winners
        return Prediction(labels[0].name if labels else None, trace=trace)


@frozen
class Underdog:
    """From every ballot, the second best."""

    def __call__(self, ballots: Sequence[Ballot]) -> Ranking:
        """Rank the runners-up in the order of the ballots; a ballot of one option gives that one."""
        rankings = [ballot.ranking for ballot in ballots if ballot.choice is not None]
        return Ranking(dict(ranking[min(1, len(ranking) - 1)] for ranking in rankings).items())


@hookimpl
def vlmkit_register(registry: Registry) -> None:
    """Tell vlmkit the names; the classes are imported at first use."""
    registry.strategy("knockout", "vlmkit_hello:Knockout", summary="Pairs of labels, the winner goes on")
    registry.aggregator("underdog", "vlmkit_hello:Underdog", summary="The second best of every ballot")
