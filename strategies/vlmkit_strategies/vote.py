"""Permutation voting: the same question under several orders of the labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest

from attrs import field, frozen
from attrs.validators import ge

from vlmkit import (
    Aggregator,
    Ask,
    Ballot,
    Capability,
    Classify,
    LabelSpace,
    Outcome,
    Prediction,
    Round,
    Solving,
    Strategy,
    Task,
    together,
)
from vlmkit_strategies.aggregators.borda import Borda


@frozen
class Vote:
    """Solves a task under several orders of its labels and aggregates the predictions, each one a ballot.

    The first order is the given one; the others are drawn from the task's seed, and each comes with a seed of its own,
    so that an inner strategy that shuffles shuffles differently. A null prediction is a ballot that counts for
    nothing. A free question has no labels to permute and goes to the inner strategy as it is.

    Args:
        inner: The strategy whose predictions are aggregated.
        permutations: Orders tried; the cost of the inner strategy is multiplied by it.
        aggregator: Turns the predictions into the ranking.
    """

    inner: Strategy
    permutations: int = field(default=5, validator=ge(1))
    aggregator: Aggregator = field(factory=Borda)

    @property
    def requires(self) -> frozenset[Capability]:
        """What the inner strategy requires."""
        return self.inner.requires

    def solve(self, task: Task) -> Solving:
        """Solve one task; the rounds of all orders go out together."""
        if isinstance(task, Ask):
            return (yield from self.inner.solve(task))
        predictions = yield from together([self.inner.solve(permuted) for permuted in self._permuted(task)])
        ranking = self.aggregator([_ballot(prediction, task.labels) for prediction in predictions])
        rounds = zip_longest(*(prediction.trace for prediction in predictions))
        trace = tuple(_joined([round for round in level if round is not None]) for level in rounds)
        label = ranking.labels[0] if ranking else None
        path = next((prediction.path for prediction in predictions if prediction.label == label), ())
        return Prediction(label, ranking, trace, path=path)

    def _permuted(self, task: Classify) -> Iterator[Classify]:
        yield task
        rng = task.rng()
        for _ in range(self.permutations - 1):
            labels = list(task.labels)
            rng.shuffle(labels)
            yield task.over(labels, seed=rng.getrandbits(63))


def _ballot(prediction: Prediction, labels: LabelSpace) -> Ballot:
    """Return the ballot that a prediction amounts to; a ranking of one name carries no scores."""
    names = prediction.ranking.labels
    choice = prediction.label if prediction.label in labels.names else None
    return Ballot(
        options=names,
        choice=choice,
        outcome=Outcome.NONE if choice is None else Outcome.SELECTED,
        log_probs=tuple(score for _, score in prediction.ranking) if len(names) > 1 else None,
    )


def _joined(rounds: Sequence[Round]) -> Round:
    """Return the rounds that went out together as one: a label survives if it does in any of them."""
    return Round(
        candidates=max(round.candidates for round in rounds),
        queries=sum(round.queries for round in rounds),
        survivors=tuple(dict.fromkeys(chain.from_iterable(round.survivors for round in rounds))),
        none=sum(round.none for round in rounds),
        invalid=sum(round.invalid for round in rounds),
    )
