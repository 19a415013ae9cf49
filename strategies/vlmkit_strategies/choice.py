"""Which of several measured strategies to use: the cheapest that is no worse than the best could be."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from vlmkit.measures import Interval


@frozen
class Measured:
    """What one strategy did on the calibration examples.

    Args:
        strategy: Its spec.
        labels: Labels that each example was solved over.
        accuracy: Share of right answers; an example that failed is a wrong one.
        cost: Mean cost of an example, in the unit of the budget.
        failed: Examples that failed.
        error: Why the first of them did, or None.
    """

    strategy: str
    labels: int
    accuracy: Interval
    cost: float
    failed: int = 0
    error: str | None = None


@frozen
class Choice:
    """A strategy, and why it.

    Args:
        chosen: The strategy.
        best: The most accurate of those within the budget; where none is, the cheapest of all.
        fits: Whether any is within the budget.
    """

    chosen: Measured
    best: Measured
    fits: bool


def choose(measured: Sequence[Measured], budget: float | None = None) -> Choice:
    """Choose among strategies that were measured on the same examples.

    Of those within the budget, the most accurate one sets the mark: the lower end of its interval. The cheapest one
    that reaches the mark is chosen; of equally cheap ones the more accurate, then the first. Where none is within the
    budget, it is the cheapest of all.

    Args:
        measured: The strategies, at least one.
        budget: Most cost of an example; None for any.
    """
    fitting = [one for one in measured if budget is None or one.cost <= budget]
    if not fitting:
        cheapest = min(measured, key=_by_cost)
        return Choice(cheapest, cheapest, fits=False)
    best = min(fitting, key=lambda one: (-one.accuracy.value, one.cost))
    near = [one for one in fitting if one.accuracy.value >= best.accuracy.low]
    return Choice(min(near, key=_by_cost), best, fits=True)


def _by_cost(one: Measured) -> tuple[float, float]:
    return one.cost, -one.accuracy.value
