"""Intervals of figures that are no plain proportions, by resampling the units that vary independently.

Source: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13; clusters as units: A. C.
    Davison and D. V. Hinkley, Bootstrap Methods and their Application (1997), section 3.8.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from vlmkit.measures.interval import Interval, wilson

Sums = NDArray[np.float64]
"""Sums over units, shape [..., columns]."""

REPLICATES = 1000
"""Resamples of an interval; the ends of a 95 % one then rest on 25 of them each."""

_CHUNK = 100
"""Resamples at once: what is held of n units is [100, n] weights."""


def bootstrap(
    strata: Sequence[Sums], figure: Callable[[Sequence[Sums]], Sums], *, confidence: float = 0.95, seed: int = 0
) -> Interval | None:
    """Return a figure with its percentile interval; units are resampled within each stratum.

    Where all resamples agree on 0 or 1 the Wilson interval over all units stands in: ten wrong answers do not prove the
    next one wrong.

    Args:
        strata: Values of each unit, shape [units, columns], in groups whose sizes are no accident.
        figure: From the sums of each stratum, shape [..., columns], to the figure, shape [...].
        confidence: Coverage of the interval.
        seed: Seed of the resamples; with the units in their order it fixes the interval.

    Returns:
        The figure, ``n`` being the number of units; None where there is no unit.
    """
    strata = [values for values in strata if len(values)]
    n = sum(map(len, strata))
    if not n:
        return None
    value = float(figure([values.sum(axis=0) for values in strata]))
    low, high = _percentiles(figure(_resampled(strata, seed)), value, confidence)
    if low == high == value and value in (0.0, 1.0):
        return wilson(round(value * n), n, confidence=confidence)
    return Interval(value, low, high, n)


def clustered(
    observations: Iterable[tuple[Hashable, Sequence[tuple[float, float]]]],
    names: Sequence[str],
    *,
    shares: Collection[str] = (),
    confidence: float = 0.95,
    seed: int = 0,
) -> Mapping[str, Interval | None]:
    """Return ratios of sums with percentile intervals, from a bootstrap that resamples whole clusters.

    All ratios see the same resamples. A resample in which a denominator is 0 is left out of that ratio's interval.

    Where all clusters agree, every resample says the same, and the interval has no width. For a share that is 0 or 1
    everywhere the Wilson interval over clusters stands in: a hundred right images do not prove the next one right.

    Args:
        observations: The cluster of each, and its numerator and denominator for each name.
        names: What the ratios are called.
        shares: Those that lie between 0 and 1.
        confidence: Coverage of the intervals.
        seed: Seed of the resamples; with the observations in their order it fixes the intervals.

    Returns:
        The ratios by name, ``n`` being the sum of the denominators; None where that is 0.
    """
    totals = cluster_sums((cluster, np.ravel(ratios)) for cluster, ratios in observations)
    totals = totals.reshape(len(totals), 2 * len(names))
    whole = totals.sum(axis=0).reshape(len(names), 2)
    resampled = _redrawn(totals, seed) if len(totals) else totals
    found: dict[str, Interval | None] = {}
    for index, name in enumerate(names):
        numerator, denominator = whole[index].tolist()
        if denominator == 0:
            found[name] = None
            continue
        value = numerator / denominator
        if name in shares and value in (0, 1):
            judged = int((totals[:, 2 * index + 1] > 0).sum())
            agreed = wilson(round(value) * judged, judged, confidence=confidence)
            found[name] = agreed and evolve(agreed, n=round(denominator))
            continue
        above, below = resampled[:, 2 * index], resampled[:, 2 * index + 1]
        ratios = np.divide(above, below, out=np.full_like(above, np.nan), where=below != 0)
        found[name] = Interval(value, *_percentiles(ratios, value, confidence), round(denominator))
    return found


def cluster_sums(observations: Iterable[tuple[Hashable, Sequence[float] | Sums]]) -> Sums:
    """Return the sums over each cluster, float64 [clusters, columns], in the order in which clusters are met.

    Args:
        observations: The cluster of each, and its values.
    """
    sums: dict[Hashable, Sums] = {}
    for cluster, given in observations:
        values = np.asarray(given, dtype=np.float64)
        sums[cluster] = sums[cluster] + values if cluster in sums else values
    return np.array(list(sums.values()), dtype=np.float64)


def _resampled(strata: Sequence[Sums], seed: int) -> list[Sums]:
    """Return the sums of each resample of each stratum, shape [REPLICATES, columns].

    What is drawn is how often each distinct row comes: units with the same values need not be told apart.
    """
    rng = np.random.default_rng(seed)
    resampled = []
    for values in strata:
        _, first, times = np.unique(values, axis=0, return_index=True, return_counts=True)
        # In the order in which rows are met: with all signs turned round, the same resamples come with theirs so.
        met = np.argsort(first)
        rows, shares = values[first[met]], times[met] / len(values)
        chunks = [rng.multinomial(len(values), shares, size=_CHUNK) @ rows for _ in range(REPLICATES // _CHUNK)]
        resampled.append(np.concatenate(chunks))
    return resampled


def _redrawn(values: Sums, seed: int) -> Sums:
    """Return the sums of each resample, shape [REPLICATES, columns]; who is drawn depends on no column's values."""
    rng = np.random.default_rng(seed)
    n = len(values)
    return np.array([np.bincount(rng.integers(n, size=n), minlength=n) @ values for _ in range(REPLICATES)])


def _percentiles(replicates: Sums, value: float, confidence: float) -> tuple[float, float]:
    """Return the ends of a percentile interval that holds the value; replicates that are not-a-number do not count."""
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(replicates, (tail, 1 - tail)).tolist()
    # With few units the resamples can all lie on one side.
    return min(low, value), max(high, value)
