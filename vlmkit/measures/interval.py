"""A proportion and its confidence interval."""

from __future__ import annotations

import math
from statistics import NormalDist

from attrs import frozen


@frozen
class Interval:
    """A proportion with its confidence interval.

    Args:
        value: The proportion, ``successes / n``.
        low: Lower end.
        high: Upper end.
        n: Trials.
    """

    value: float
    low: float
    high: float
    n: int


def wilson(successes: int, n: int, *, confidence: float = 0.95) -> Interval | None:
    """Return a proportion with its Wilson score interval, or None when there were no trials.

    Unlike the normal approximation it stays within 0 and 1 and has a width also at 0 and 1.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).

    Raises:
        ValueError: ``successes`` is not between 0 and ``n``, or ``confidence`` not between 0 and 1.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes in {n} trials")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1")
    if n == 0:
        return None
    share = successes / n
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    scale = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At the ends the formula gives 0 and 1 but for rounding.
    return Interval(
        value=share,
        low=0.0 if successes == 0 else centre - half,
        high=1.0 if successes == n else centre + half,
        n=n,
    )
