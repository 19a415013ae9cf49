"""The cost of a strategy by the number of labels in one question."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import frozen

from vlmkit.contracts import Strategy
from vlmkit.measures.flops import tournament_work
from vlmkit.planning.figures import Figures
from vlmkit.planning.planner import Planner
from vlmkit.types import Choose

STEP = 1.25
"""Ratio of one group size to the one before it."""


@frozen
class Size:
    """One group size.

    Args:
        group_size: Most labels in one question.
        per_example: What an example costs in the mean.
        proxy: The published squared-attention proxy of the same.
    """

    group_size: int
    per_example: Figures
    proxy: float | None


@frozen
class Sizes:
    """Group sizes compared.

    Args:
        strategy: Spec of the strategy, group size left out.
        fixed_tokens: Tokens of a prompt without its labels, those of the image included (l0 of the proxy).
        label_tokens: Tokens of one label in the prompt (a of the proxy).
        sizes: What each costs.
    """

    strategy: str
    fixed_tokens: float | None
    label_tokens: float | None
    sizes: tuple[Size, ...]

    def lowest(self, cost: Callable[[Size], float | None]) -> int | None:
        """Return the group size of the lowest cost, or None where it is not known."""
        known = [(value, size.group_size) for size in self.sizes if (value := cost(size)) is not None]
        return min(known)[1] if known else None


def compare_sizes(planner: Planner, strategy: str, sizes: Iterable[int], build: Callable[[int], Strategy]) -> Sizes:
    """Drive a strategy with one group size after the other.

    Args:
        planner: Drives it.
        strategy: Its spec, for the result.
        sizes: The group sizes.
        build: Makes the strategy of a group size.

    Raises:
        UserError: The request as a whole is wrong.
    """
    prompt = _prompt_tokens(planner)
    found = [
        Size(
            size,
            planner.plan(strategy, build(size)).per_example,
            None if prompt is None else tournament_work(len(planner.labels), size, *prompt),
        )
        for size in sizes
    ]
    fixed, each = prompt or (None, None)
    return Sizes(strategy, fixed, each, tuple(found))


def spaced(low: int, high: int) -> list[int]:
    """Return whole numbers from ``low`` to ``high``, each about ``STEP`` times the one before."""
    sizes = [low]
    while sizes[-1] < high:
        sizes.append(min(high, max(sizes[-1] + 1, round(sizes[-1] * STEP))))
    return sizes


def _prompt_tokens(planner: Planner) -> tuple[float, float] | None:
    """Return the tokens of a prompt without labels, and of each label, from a prompt with one and one with all."""
    dry, labels = planner.dry(), planner.labels
    example = next((example for example in planner.examples if example.question is None), None)
    if dry is None or example is None or len(labels) < 2:
        return None
    images = planner.opener.open(example)
    one, all_of_them = (
        dry.prompt_tokens(Choose(images, options, prompt=planner.prompt).text, images)
        for options in (labels.labels[:1], labels.labels)
    )
    each = (all_of_them - one) / (len(labels) - 1)
    return one - each, each
