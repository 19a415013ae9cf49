"""Figures that need the taxonomy: whether a predicted path exists, and how far off a mistake is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from vlmkit import Taxonomy
from vlmkit_hierarchy.graded import ROOT, Graded
from vlmkit_hierarchy.levels import LevelNames, Path
from vlmkit_hierarchy.metrics import Metric, Ratio

HEIGHTS = frozenset({"mistake_severity"})
"""The figures that are no shares but numbers of levels."""


def tree_metrics(taxonomy: Taxonomy, *, ignore_case: bool = False) -> Mapping[str, Metric]:
    """Return the figures by name.

    Args:
        taxonomy: The tree that targets and predictions are about, named as ``LevelNames`` names it.
        ignore_case: Whether the graded predictions were folded.
    """
    names = LevelNames(taxonomy)
    fold: Callable[[str], str] = str.casefold if ignore_case else str
    paths = [tuple(fold(name) for name in names.path(leaf)) for leaf in taxonomy.paths]
    nodes = {
        (depth, fold(name)): node for depth, level in enumerate(names.levels, start=1) for node, name in level.items()
    }
    return {"path_validity": _validity(paths), "mistake_severity": _severity(taxonomy, nodes)}


def _validity(paths: list[tuple[str, ...]]) -> Metric:
    @cache
    def ways(depths: tuple[int, ...], ending: bool) -> frozenset[tuple[str, ...]]:
        """Return what the tree says at these levels, of all leaves or of those that end at the last of them."""
        last = depths[-1]
        fitting = [path for path in paths if len(path) == last or (len(path) > last and not ending)]
        return frozenset(tuple(ROOT if depth == 0 else path[depth - 1] for depth in depths) for path in fitting)

    def path_validity(graded: Graded) -> Ratio:
        """Whether the prediction is a path of the tree, down to a leaf if the target is: 1 or 0."""
        ending = graded.target in ways(graded.graded_depths, True)
        end = max((index for index, name in enumerate(graded.predicted, start=1) if name is not None), default=0)
        return end > 0 and graded.predicted[:end] in ways(graded.depths[:end], ending), 1

    return path_validity


def _severity(taxonomy: Taxonomy, nodes: Mapping[tuple[int, str], Path]) -> Metric:
    def mistake_severity(graded: Graded) -> Ratio:
        """Height of the lowest common ancestor of target and prediction, over the predictions with a wrong leaf.

        The prediction is the deepest node that it names, at the deepest level with an answer; the root if there is
        none.

        Source: Bertinetto et al., Making better mistakes, CVPR 2020.
        """
        if graded.right[-1]:
            return 0, 0
        answered = [(depth, name) for depth, name in zip(graded.depths, graded.predicted, strict=True) if name]
        predicted = nodes.get(answered[-1], ()) if answered else ()
        target = nodes.get((graded.graded_depths[-1], graded.target[-1]), ())
        return taxonomy.height(taxonomy.lowest_common_ancestor(target, predicted)), 1

    return mistake_severity
