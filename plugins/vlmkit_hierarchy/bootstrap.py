"""Ratios with intervals that respect which observations vary together."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

import numpy as np
from attrs import evolve

from vlmkit.measures import Interval, wilson

REPLICATES = 1000
"""Resamples of an interval; the ends of a 95 % one then rest on 25 of them each."""


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

    Source: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13; clusters as units: A. C.
        Davison and D. V. Hinkley, Bootstrap Methods and their Application (1997), section 3.8.
    """
    sums: dict[Hashable, np.ndarray] = {}
    for cluster, ratios in observations:
        values = np.asarray(ratios, dtype=np.float64)
        sums[cluster] = sums[cluster] + values if cluster in sums else values
    totals = np.array(list(sums.values())).reshape(len(sums), len(names), 2)
    whole = totals.sum(axis=0)
    replicates = _replicates(totals, seed) if len(sums) else np.empty((0, len(names)))
    tail = (1 - confidence) / 2
    found: dict[str, Interval | None] = {}
    for index, name in enumerate(names):
        numerator, denominator = whole[index].tolist()
        if denominator == 0:
            found[name] = None
            continue
        value = numerator / denominator
        if name in shares and value in (0, 1):
            judged = int((totals[:, index, 1] > 0).sum())
            agreed = wilson(round(value) * judged, judged, confidence=confidence)
            found[name] = agreed and evolve(agreed, n=round(denominator))
            continue
        low, high = np.nanquantile(replicates[:, index], (tail, 1 - tail)).tolist()
        # With few clusters the resamples can all lie on one side.
        found[name] = Interval(value, min(low, value), max(high, value), round(denominator))
    return found


def _replicates(totals: np.ndarray, seed: int) -> np.ndarray:
    """Return the ratios of resamples, float64 [REPLICATES, ratios]; not-a-number where a denominator is 0.

    Args:
        totals: Numerators and denominators, float64 [clusters, ratios, 2].
        seed: Seed of the resamples.
    """
    rng = np.random.default_rng(seed)
    clusters, ratios, _ = totals.shape
    flat = totals.reshape(clusters, -1)
    resampled = np.empty((REPLICATES, ratios, 2))
    for replicate in range(REPLICATES):
        times = np.bincount(rng.integers(clusters, size=clusters), minlength=clusters)
        resampled[replicate] = (times @ flat).reshape(ratios, 2)
    numerators, denominators = resampled[..., 0], resampled[..., 1]
    return np.divide(numerators, denominators, out=np.full_like(numerators, np.nan), where=denominators != 0)
