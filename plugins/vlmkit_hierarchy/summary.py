"""All figures of a set of graded predictions, each with its interval."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import frozen

from vlmkit import Taxonomy
from vlmkit.measures import clustered
from vlmkit.runs import to_json
from vlmkit_hierarchy.graded import Pair, grade
from vlmkit_hierarchy.metrics import METRICS, Metric, at_depth
from vlmkit_hierarchy.tree_metrics import HEIGHTS, tree_metrics


@frozen
class Grading:
    """How predictions are compared with targets.

    Args:
        count_root: Whether the root counts as a level.
        ignore_case: Whether names that differ in case alone are equal.
    """

    count_root: bool = False
    ignore_case: bool = False

    def results(self, pairs: Iterable[Pair], taxonomy: Taxonomy) -> dict[str, Any]:
        """Return the figures, and how the paths were compared."""
        return {
            "metrics": self.figures(pairs, taxonomy),
            "grading": {"count_root": self.count_root, "ignore_case": self.ignore_case},
        }

    def figures(self, pairs: Iterable[Pair], taxonomy: Taxonomy | None = None) -> dict[str, Any]:
        """Return every figure as ``{value, low, high, n}``, plain JSON values; None where it is undefined.

        Args:
            pairs: Images, targets and predictions; intervals are clustered by image.
            taxonomy: The tree that both are in, as ``LevelNames`` names it, for the figures that need it.
        """
        compared = (grade(*pair, count_root=self.count_root, ignore_case=self.ignore_case) for pair in pairs)
        graded = [one for one in compared if one is not None]
        depths = sorted({depth for one in graded for depth in one.graded_depths})
        of_tree = {} if taxonomy is None else tree_metrics(taxonomy, ignore_case=self.ignore_case)
        of_paths = {**METRICS, **of_tree}
        metrics: dict[str, Metric] = {**of_paths, **{f"level {depth}": at_depth(depth) for depth in depths}}
        found = clustered(
            ((one.image, [metric(one) for metric in metrics.values()]) for one in graded),
            list(metrics),
            shares=metrics.keys() - HEIGHTS,
        )
        return {
            **{name: to_json(found[name]) for name in of_paths},
            "level_accuracy": [{"depth": depth, **to_json(found[f"level {depth}"])} for depth in depths],
        }
