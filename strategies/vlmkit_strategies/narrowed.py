"""Tasks over fewer labels, to see what the number of labels does to a model."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from vlmkit import Capability, Classify, Solving, Strategy, Task


@frozen
class Narrowed:
    """Solves each task over fewer of its labels, the right one among them.

    The others are the first of an order that the run's seed and the example's id fix, so that a smaller set lies within
    every larger one. They keep the order of the task.

    Args:
        inner: Who solves it.
        most: Labels that are left, at least 1.
        targets: The right label of each example, by its id.
    """

    inner: Strategy
    most: int
    targets: Mapping[str, str] = field(repr=False)

    @property
    def requires(self) -> frozenset[Capability]:
        """What the inner strategy requires."""
        return self.inner.requires

    def solve(self, task: Task) -> Solving:
        """Solve one task over its subset."""
        if isinstance(task, Classify) and len(task.labels) > self.most:
            task = task.over(self._subset(task))
        return (yield from self.inner.solve(task))

    def _subset(self, task: Classify) -> list[str]:
        target = self.targets[task.id]
        others = [name for name in task.labels.names if name != target]
        task.rng().shuffle(others)
        kept = {target, *others[: self.most - 1]}
        return [name for name in task.labels.names if name in kept]
