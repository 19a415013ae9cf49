"""Strategies over a taxonomy: which way down, and who answers the questions on it."""

from __future__ import annotations

from typing import Literal, get_args

from attrs import field, frozen
from attrs.validators import ge, in_, le, optional

from vlmkit import Ask, Capability, Prediction, Solving, Strategy, Task
from vlmkit.errors import SpecError
from vlmkit_strategies.descents import product, search
from vlmkit_strategies.levelwise import bottom_up, flat_by_level, leaf_conditioned

Descent = Literal["greedy", "beam", "full", "bottom-up", "leaf-conditioned", "flat-by-level"]

BEAM = 4
"""Ways that ``descend=beam`` follows unless told otherwise."""


@frozen
class Tree:
    """Descends the task's taxonomy; the inner strategy answers every choice among siblings.

    ``greedy`` follows the best child, ``beam`` the best ways so far, ``full`` all of them, so that its ranking has
    every leaf. A node with one child costs no question. A way whose question is refused ends there, so that an inner
    node may be the answer. ``bottom-up`` takes the inner strategy's leaf and its ancestors; ``leaf-conditioned`` asks
    about the levels above, given that leaf; ``flat-by-level`` asks about each level by itself. A free question goes to
    the inner strategy.

    Scores of the inner strategy are taken as log-probabilities; nodes that it does not rank are out.

    Args:
        inner: Who answers each choice.
        descend: Which way.
        beam: Ways followed at a time, for ``beam`` alone.
        stop_below: Probability of the best child among its siblings below which a way down ends at their parent.

    Raises:
        SpecError: An option is none of the descent's.
    """

    inner: Strategy
    descend: Descent = field(default="greedy", validator=in_(get_args(Descent)))
    beam: int | None = field(default=None, validator=optional(ge(1)))
    stop_below: float = field(default=0.0, validator=[ge(0.0), le(1.0)])

    def __attrs_post_init__(self) -> None:
        if self.beam is not None and self.descend != "beam":
            raise SpecError(f"tree: descend={self.descend} has no beam", hint="give descend=beam, or leave beam out")
        if self.stop_below and self.descend not in ("greedy", "beam", "full"):
            raise SpecError(
                f"tree: descend={self.descend} does not stop on its way",
                hint="give descend=greedy, beam or full, or leave stop_below out",
            )

    @property
    def requires(self) -> frozenset[Capability]:
        """What the inner strategy requires."""
        return self.inner.requires

    def solve(self, task: Task) -> Solving:
        """Solve one task.

        Raises:
            TaxonomyError: The task has no taxonomy, or a label is no leaf of it.
        """
        if isinstance(task, Ask):
            return (yield from self.inner.solve(task))
        if not task.labels:
            return Prediction(None)
        match self.descend:
            case "bottom-up":
                return (yield from bottom_up(task, self.inner))
            case "leaf-conditioned":
                return (yield from leaf_conditioned(task, self.inner))
            case "flat-by-level":
                return (yield from flat_by_level(task, self.inner))
            case "full":
                return (yield from product(task, self.inner, stop_below=self.stop_below))
            case "greedy":
                return (yield from search(task, self.inner, width=1, stop_below=self.stop_below))
            case "beam":
                return (yield from search(task, self.inner, width=self.beam or BEAM, stop_below=self.stop_below))
