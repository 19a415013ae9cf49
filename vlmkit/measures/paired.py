"""Two ways to answer the same examples: how far apart, how surely, and how many examples would settle it.

The functions that give a p value need scipy (``pip install 'vlmkit[stats]'``).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from statistics import NormalDist

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from vlmkit.errors import UserError
from vlmkit.measures.bootstrap import bootstrap, cluster_sums
from vlmkit.measures.interval import Interval, wilson

ALPHA, POWER = 0.05, 0.8
"""Error rates for which examples are counted: a false alarm in 20, a real difference missed in 5."""


@frozen
class Paired:
    """The right and wrong answers of two runs, A and B, to the same examples.

    Args:
        n: Examples.
        clusters: Groups of examples that may vary together, such as those that show the same picture.
        both: Examples that both answered rightly.
        only_a: Examples that A alone answered rightly.
        only_b: Examples that B alone answered rightly.
        neither: Examples that neither answered rightly.
        difference: Accuracy of B minus that of A, with its 95 % interval from a bootstrap of the clusters.
        odds_ratio: ``only_b / only_a``; None where A is never right alone.
        p: Two-sided mid-p value of no difference.
        needed: Examples in all that would show a difference of this size; None where there is none.
    """

    n: int
    clusters: int
    both: int
    only_a: int
    only_b: int
    neither: int
    difference: Interval
    odds_ratio: float | None
    p: float
    needed: int | None


def paired(
    a: Sequence[bool] | NDArray[np.bool_],
    b: Sequence[bool] | NDArray[np.bool_],
    clusters: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
) -> Paired | None:
    """Compare two runs example by example; None where there is no example.

    Args:
        a: Whether A is right, for each example.
        b: Whether B is, in the same order.
        clusters: Which cluster each example is in; by default each is one of its own.
        seed: Seed of the resamples.

    Raises:
        ValueError: The sequences differ in length.
        UserError: scipy is missing.
    """
    first, second = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    keys = range(len(first)) if clusters is None else clusters
    rows = [(key, (int(y) - int(x), 1)) for key, x, y in zip(keys, first, second, strict=True)]
    if not rows:
        return None
    sums = cluster_sums(rows)
    only_a, only_b = int((first & ~second).sum()), int((second & ~first).sum())
    return Paired(
        n=len(rows),
        clusters=len(sums),
        both=int((first & second).sum()),
        only_a=only_a,
        only_b=only_b,
        neither=int((~first & ~second).sum()),
        difference=_difference(sums, seed),
        odds_ratio=only_b / only_a if only_a else None,
        p=sign_flip_p(sums[:, 0].astype(int)),
        needed=examples_needed(sums[:, 0], sums[:, 1]),
    )


def sign_flip_p(differences: Sequence[int] | NDArray[np.int_]) -> float:
    """Return the two-sided mid-p value of the exact test that flips the signs of differences at random.

    Where every difference is -1, 0 or 1, this is McNemar's test with mid-p. The exact test without mid-p rejects a true
    hypothesis far less often than its level says when few pairs differ; mid-p counts half of the outcomes that are as
    extreme as the one seen, and stays close to the level.

    Args:
        differences: What B has more than A, for each pair or cluster of pairs.

    Source: M. W. Fagerland, S. Lydersen and P. Laake, The McNemar test for binary matched-pairs data: mid-p and
        asymptotic are better than exact conditional, BMC Medical Research Methodology 13:91 (2013).

    Raises:
        UserError: scipy is missing.
    """
    try:
        from scipy.stats import binom
    except ModuleNotFoundError as error:
        raise UserError("comparing runs needs the package scipy", hint="run: pip install 'vlmkit[stats]'") from error
    values = np.asarray(differences, dtype=int)
    seen = abs(int(values.sum()))
    distribution = np.ones(1)
    for size, times in zip(*np.unique(np.abs(values[values != 0]), return_counts=True), strict=True):
        steps = np.zeros(2 * size * times + 1)
        steps[:: 2 * size] = binom.pmf(np.arange(times + 1), times, 0.5)
        distribution = np.convolve(distribution, steps)
    if len(distribution) == 1:
        return 1.0
    sums = np.abs(np.arange(len(distribution)) - len(distribution) // 2)
    return float(min(1.0, distribution[sums > seen].sum() + distribution[sums == seen].sum() / 2))


def holm(ps: Sequence[float]) -> list[float]:
    """Return p values that may be held against one level all together, in the order given.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6
        (1979).
    """
    adjusted, largest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda index: ps[index])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = largest
    return adjusted


def examples_needed(
    differences: NDArray[np.float64] | Sequence[float],
    sizes: NDArray[np.float64] | Sequence[float],
    *,
    alpha: float = ALPHA,
    power: float = POWER,
) -> int | None:
    """Return how many examples in all would show a difference of the size seen; None where none was seen.

    Clusters are taken to stay as large, and as alike within, as they are. The size seen is itself uncertain.

    Args:
        differences: What B has more than A, for each cluster.
        sizes: Its examples.
        alpha: Level of the two-sided test.
        power: Chance to reject.

    Source: R. J. Connor, Sample size for testing differences in proportions for the paired-sample design, Biometrics 43
        (1987); for clusters with the variance of their sums in place of the share of pairs that differ.
    """
    d, m = np.asarray(differences, dtype=float), np.asarray(sizes, dtype=float)
    n = float(m.sum())
    effect = float(d.sum()) / n
    if effect == 0:
        return None
    without, within = float((d**2).sum()) / n, float(((d - m * effect) ** 2).sum()) / n
    normal = NormalDist()
    deviation = normal.inv_cdf(1 - alpha / 2) * math.sqrt(without) + normal.inv_cdf(power) * math.sqrt(within)
    return math.ceil((deviation / effect) ** 2)


def _difference(sums: NDArray[np.float64], seed: int) -> Interval:
    """Return the difference with its interval, from sums of differences and examples, float64 [clusters, 2]."""
    n, each = int(sums[:, 1].sum()), sums[:, 0] / sums[:, 1]
    if np.all(each == each[0]):
        # No resample would differ either; one more cluster that does is as likely as an event never seen.
        unseen, value = wilson(0, len(sums)), float(each[0])
        assert unseen is not None
        return Interval(value, max(-1.0, value - unseen.high), min(1.0, value + unseen.high), n)
    found = bootstrap([sums], lambda resampled: resampled[0][..., 0] / resampled[0][..., 1], seed=seed)
    assert found is not None
    return Interval(found.value, found.low, found.high, n)
