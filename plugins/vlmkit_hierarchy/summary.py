"""All figures of a set of graded predictions, each with its interval."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vlmkit import Taxonomy
from vlmkit.runs import to_json
from vlmkit_hierarchy.bootstrap import clustered
from vlmkit_hierarchy.graded import Graded
from vlmkit_hierarchy.metrics import METRICS, Metric, at_depth
from vlmkit_hierarchy.tree_metrics import tree_metrics


def figures(graded: Iterable[Graded], *, taxonomy: Taxonomy | None = None, ignore_case: bool = False) -> dict[str, Any]:
    """Return every figure as ``{value, low, high, n}``, plain JSON values; None where it is undefined.

    Args:
        graded: The predictions; intervals are clustered by their images.
        taxonomy: The tree, for the figures that need it.
        ignore_case: Whether the predictions were graded so.
    """
    predictions = list(graded)
    depths = sorted({depth for one in predictions for depth in one.graded_depths})
    of_paths = {**METRICS, **({} if taxonomy is None else tree_metrics(taxonomy, ignore_case=ignore_case))}
    metrics: dict[str, Metric] = {**of_paths, **{f"level {depth}": at_depth(depth) for depth in depths}}
    found = clustered(((one.image, [metric(one) for metric in metrics.values()]) for one in predictions), list(metrics))
    return {
        **{name: to_json(found[name]) for name in of_paths},
        "level_accuracy": [{"depth": depth, **to_json(found[f"level {depth}"])} for depth in depths],
    }
