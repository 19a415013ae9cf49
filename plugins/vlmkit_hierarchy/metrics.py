"""Figures over paths. Each gives, for one graded prediction, a numerator and a denominator that add up over images.

With L graded levels, where r_j says whether level j is right and 1 is the top:

HCA (hierarchical consistent accuracy) counts paths that are right at every level. Leaf accuracy, POR (point overlap
ratio) and both S-PORs (strict POR) are never below it, for any predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby, pairwise, takewhile
from types import MappingProxyType

from vlmkit_hierarchy.graded import Graded

Ratio = tuple[float, float]
"""A numerator and a denominator. A figure is the sum of the ones over the sum of the others."""

Metric = Callable[[Graded], Ratio]


def hca(graded: Graded) -> Ratio:
    """Whether the whole path is right: 1 or 0.

    Source: arXiv 2505.24840; the name is from ProTeCt (CVPR 2024).
    """
    return all(graded.right), 1


def leaf_accuracy(graded: Graded) -> Ratio:
    """Whether the leaf is right, that is the deepest graded level, whatever stands above it."""
    return graded.right[-1], 1


def por(graded: Graded) -> Ratio:
    """Share of the levels that are right: (1/L) sum_j r_j.

    Source: arXiv 2505.24840.
    """
    return _mean(sum(graded.right), graded)


def s_por_prefix(graded: Graded) -> Ratio:
    """Length of the longest right prefix, from the top on, over L.

    Source: the code of arXiv 2505.24840.
    """
    return _mean(sum(1 for _ in takewhile(bool, graded.right)), graded)


def s_por_run(graded: Graded) -> Ratio:
    """Length of the longest contiguous right run, wherever it stands, over L.

    Source: arXiv 2603.00431 (TARA), equation 7.
    """
    return _mean(max((len(list(run)) for right, run in groupby(graded.right) if right), default=0), graded)


def tor(graded: Graded) -> Ratio:
    """Share of the pairs of neighbouring levels that are both right: 1/(L-1) sum_j r_j r_(j+1).

    Undefined for a path of one level, which is left out of the mean. (The published code counts it as 0.)

    Source: arXiv 2505.24840.
    """
    pairs = [above and below for above, below in pairwise(graded.right)]
    return (sum(pairs) / len(pairs), 1) if pairs else (0, 0)


def hierarchical_precision(graded: Graded) -> Ratio:
    """Share of the predicted nodes that are right; a predicted path names one node a level, ancestors included.

    Sums run over all predictions (micro average).

    Source: Kiritchenko et al., Learning and evaluation in the presence of class hierarchies, Canadian AI (2006).
    """
    return sum(graded.right), _answers(graded)


def hierarchical_recall(graded: Graded) -> Ratio:
    """Share of the right nodes that are predicted.

    Source: as ``hierarchical_precision``.
    """
    return sum(graded.right), len(graded.target)


def hierarchical_f1(graded: Graded) -> Ratio:
    """Harmonic mean of hierarchical precision and recall.

    Source: as ``hierarchical_precision``.
    """
    return 2 * sum(graded.right), _answers(graded) + len(graded.target)


def right_leaf_wrong_path(graded: Graded) -> Ratio:
    """Of the right leaves, the share that stand at the end of a wrong path: (leaf accuracy - HCA) / leaf accuracy."""
    return graded.right[-1] and not all(graded.right), graded.right[-1]


def unanswered(graded: Graded) -> Ratio:
    """Share of the graded levels without an answer: no option was named, or the prediction ends above them."""
    return graded.predicted[: len(graded.target)].count(None), len(graded.target)


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.__name__: metric
        for metric in (
            hca,
            leaf_accuracy,
            por,
            s_por_prefix,
            s_por_run,
            tor,
            hierarchical_precision,
            hierarchical_recall,
            hierarchical_f1,
            right_leaf_wrong_path,
            unanswered,
        )
    }
)
"""The figures that need nothing but the paths, by name."""


def at_depth(depth: int) -> Metric:
    """Return the accuracy of one level; predictions for which it is not graded do not count."""

    def accuracy(graded: Graded) -> Ratio:
        if depth not in graded.graded_depths:
            return 0, 0
        return graded.right[graded.graded_depths.index(depth)], 1

    return accuracy


def _mean(right: int, graded: Graded) -> Ratio:
    return right / len(graded.target), 1


def _answers(graded: Graded) -> int:
    return sum(answer is not None for answer in graded.predicted)
