"""Intervals of figures that are no plain proportions, by resampling items."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from vlmkit.measures import Interval, wilson

Sums = NDArray[np.float64]
"""Sums over items, shape [..., columns]."""

REPLICATES = 1000
"""Resamples of an interval; the ends of a 95 % one then rest on 25 of them each."""

_CHUNK = 100
"""Resamples at once: what is held of n items is [100, n] weights."""


def bootstrap(strata: Sequence[Sums], figure: Callable[[Sequence[Sums]], Sums], *, seed: int = 0) -> Interval | None:
    """Return a figure with its 95 % percentile interval; items are resampled within each stratum.

    Where all resamples agree on 0 or 1 the Wilson interval over all items stands in: ten wrong answers do not prove the
    next one wrong.

    Args:
        strata: Values of each item, shape [items, columns], in groups whose sizes are no accident.
        figure: From the sums of each stratum, shape [..., columns], to the figure, shape [...].
        seed: Seed of the resamples.

    Returns:
        The figure, ``n`` being the number of items; None where there is no item.
    """
    strata = [values for values in strata if len(values)]
    n = sum(map(len, strata))
    if not n:
        return None
    value = float(figure([values.sum(axis=0) for values in strata]))
    rng = np.random.default_rng(seed)
    resampled = [_resampled(values, rng) for values in strata]
    low, high = map(float, np.quantile(figure(resampled), (0.025, 0.975)))
    if low == high == value and value in (0.0, 1.0):
        return wilson(round(value * n), n)
    return Interval(value, low, high, n)


def _resampled(values: Sums, rng: np.random.Generator) -> Sums:
    """Return the sums of each resample, shape [REPLICATES, columns]."""
    even = np.full(len(values), 1 / len(values))
    return np.concatenate(
        [rng.multinomial(len(values), even, size=_CHUNK) @ values for _ in range(REPLICATES // _CHUNK)]
    )
