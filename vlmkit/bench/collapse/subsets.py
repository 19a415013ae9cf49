"""Subsets of the labels: every image has its own, which holds its right label."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal

from attrs import field, frozen
from attrs.validators import ge, in_

from vlmkit.contracts import Solving, Strategy
from vlmkit.types import Ask, Capability, LabelSpace, Task

Kind = Literal["nested", "independent"]


@frozen
class Subsets:
    """Draws a subset of the labels for each image; the same for the same seed and image, whatever else is asked.

    Args:
        size: Labels of a subset.
        seed: Seed of the draw.
        kind: ``nested``, where a larger subset of an image holds every smaller one; or ``independent``.
    """

    size: int = field(validator=ge(1))
    seed: int = 0
    kind: Kind = field(default="nested", validator=in_(("nested", "independent")))

    def of(self, image: str, target: str, labels: LabelSpace) -> LabelSpace:
        """Return the right label of an image and ``size - 1`` others, in the order of ``labels``.

        Args:
            image: The image's id.
            target: Its right label, one of ``labels``.
            labels: All labels.

        Raises:
            ValueError: There are fewer labels than the subset shall have.
        """
        if self.size > len(labels):
            raise ValueError(f"no {self.size} of {len(labels)} labels")
        if self.size == len(labels):
            return labels
        drawn_by = [str(self.seed), image, *([] if self.kind == "nested" else [str(self.size)])]
        # File names that are not UTF-8 hold lone surrogates.
        rng = random.Random("\0".join(drawn_by).encode("utf-8", "surrogatepass"))
        names = [name for name in labels.names if name != target]
        # All are shuffled, whatever the size, so that a larger subset takes what a smaller one takes, and more.
        rng.shuffle(names)
        chosen = {target, *names[: self.size - 1]}
        return LabelSpace(label for label in labels if label.name in chosen)


@frozen
class Narrowed:
    """Asks another strategy, about each image with its own subset of the labels.

    Args:
        inner: The strategy.
        subsets: Draws the subsets.
        target_of: From an image's id to its right label.
    """

    inner: Strategy
    subsets: Subsets
    target_of: Callable[[str], str]

    @property
    def requires(self) -> frozenset[Capability]:
        """What the other strategy requires."""
        return self.inner.requires

    def solve(self, task: Task) -> Solving:
        """Solve the task over its subset."""
        assert not isinstance(task, Ask)
        return self.inner.solve(task.over(self.subsets.of(task.id, self.target_of(task.id), task.labels)))
