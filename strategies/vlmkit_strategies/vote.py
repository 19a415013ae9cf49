"""Permutation voting: the same question under several orders of the labels."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import field, frozen
from attrs.validators import ge

from vlmkit import Aggregator, Ask, Capability, Classify, Solving, Strategy, Task, together
from vlmkit_strategies.aggregators.borda import Borda
from vlmkit_strategies.opinions import agreed


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
        return agreed(task, predictions, self.aggregator)

    def _permuted(self, task: Classify) -> Iterator[Classify]:
        yield task
        rng = task.rng()
        for _ in range(self.permutations - 1):
            labels = list(task.labels)
            rng.shuffle(labels)
            yield task.over(labels, seed=rng.getrandbits(63))
