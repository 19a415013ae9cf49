"""Figures over paths for the reader at the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from vlmkit.cli.output import table
from vlmkit_hierarchy.tree_metrics import HEIGHTS

_TITLES = {
    "hca": "HCA",
    "leaf_accuracy": "leaf accuracy",
    "por": "POR",
    "s_por_prefix": "S-POR, prefix",
    "s_por_run": "S-POR, run",
    "tor": "TOR",
    "hierarchical_precision": "hierarchical precision",
    "hierarchical_recall": "hierarchical recall",
    "hierarchical_f1": "hierarchical F1",
    "path_validity": "valid paths",
    "right_leaf_wrong_path": "right leaf, wrong path",
    "unanswered": "levels without answer",
    "mistake_severity": "height of mistakes, levels",
}


def figures_table(results: Mapping[str, Any]) -> Table:
    """Return the figures with their 95 % intervals, and what a run of a model cost."""
    return table(("", ""), _rows(results))


def interval(figure: Mapping[str, float] | None, *, share: bool = True) -> str:
    """Return a figure with its 95 % interval in brackets."""
    if figure is None:
        return "-"
    form = ".1%" if share else ".2f"
    value, low, high = (format(figure[name], form) for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _rows(results: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    n, metrics = results["n"], results["metrics"]
    for name, title in _TITLES.items():
        if name in metrics:
            yield title, interval(metrics[name], share=name not in HEIGHTS)
    for level in metrics["level_accuracy"]:
        yield f"accuracy at level {level['depth']}", interval(level)
    for parser, figures in results.get("other_parsers", {}).items():
        yield f"HCA by {parser}", interval(figures["hca"])
    yield "images", f"{n['done']:,} of {n['total']:,}"
    if "usage" in results:
        usage, done = results["usage"], n["done"] or 1
        yield "failed", f"{n['failed']:,}"
        yield "queries per image", f"{usage['queries'] / done:.1f}"
        yield "forwards per image", f"{usage['forwards'] / done:.2f}"
        yield "tokens per image", f"{sum(usage['tokens'].values()) / done:,.0f}"
        yield "directory", results["directory"]
