"""A predicted path beside the right one, made comparable: the value that every figure is computed from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from attrs import field, frozen

from vlmkit.types.tuples import as_tuple

Levels = Sequence[str | None]
"""Names level by level, the first level below the root first; None where a level is ungraded or has no answer."""

Pair = tuple[str, Levels, Levels]
"""An image, the right path and the predicted one."""

ROOT = "(root)"
"""Stands for the root where it counts as a level."""


@frozen(slots=False)
class Graded:
    """One prediction at the levels that are graded.

    Args:
        image: Which image it is about; predictions about one image vary together.
        depths: The levels of ``predicted``, top first; the root is 0.
        target: The right names at the first of these levels, which are the graded ones.
        predicted: The predicted names; None where there was no answer. They may go on below the target.
    """

    image: str
    depths: tuple[int, ...] = field(converter=as_tuple)
    target: tuple[str, ...] = field(converter=as_tuple)
    predicted: tuple[str | None, ...] = field(converter=as_tuple)

    def __attrs_post_init__(self) -> None:
        if not 0 < len(self.target) <= len(self.predicted) == len(self.depths):
            raise ValueError(f"{len(self.depths)} levels, {len(self.target)} names, {len(self.predicted)} answers")

    @property
    def graded_depths(self) -> tuple[int, ...]:
        """The levels at which there is a right name."""
        return self.depths[: len(self.target)]

    @cached_property
    def right(self) -> tuple[bool, ...]:
        """Whether the prediction is right, graded level by graded level."""
        return tuple(name == answer for name, answer in zip(self.target, self.predicted, strict=False))


def grade(
    image: str, target: Levels, predicted: Levels, *, count_root: bool = False, ignore_case: bool = False
) -> Graded | None:
    """Set a prediction beside its target, or return None where no level is graded.

    Ungraded levels of the target are removed from both. A prediction that is too short has no answer at the levels
    that it lacks; one that is too long keeps what it says beyond the target.

    Args:
        image: Which image it is about.
        target: The right names.
        predicted: The predicted names.
        count_root: Whether the root counts as a level; nothing was asked about it, so it is always right.
        ignore_case: Whether names that differ in case alone are equal, as in the published code.

    Source: arXiv 2505.24840 and its code, which leaves ungraded levels out and compares in lower case.
    """
    graded = [(depth, name) for depth, name in enumerate(target, start=1) if name is not None]
    if not graded:
        return None
    last = max((depth for depth, answer in enumerate(predicted, start=1) if answer is not None), default=0)
    depths = [*(depth for depth, _ in graded), *range(len(target) + 1, last + 1)]
    names = [name for _, name in graded]
    answers = [predicted[depth - 1] if depth <= len(predicted) else None for depth in depths]
    if ignore_case:
        names = [name.casefold() for name in names]
        answers = [answer and answer.casefold() for answer in answers]
    if count_root:
        depths, names, answers = [0, *depths], [ROOT, *names], [ROOT, *answers]
    return Graded(image, depths, names, answers)
