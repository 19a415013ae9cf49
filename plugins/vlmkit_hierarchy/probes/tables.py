"""Probe results as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vlmkit.cli.output import table
from vlmkit_hierarchy.tables import interval

if TYPE_CHECKING:
    from rich.table import Table


HCA = "HCA"
"""What the row of whole paths is called."""


def probe_table(results: Mapping[str, Any]) -> Table:
    """Return a column for each site and a row for each figure, with its interval and chance."""
    sites = results["sites"]
    columns = [_by_level(found, results["levels"]) for found in sites.values()]
    rows = [[name, *(_cell(column[name]) for column in columns)] for name in columns[0]]
    return table(("", *sites), rows)


def _by_level(found: Mapping[str, Any], levels: list[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return figures by what they are of: each level by its rank, then the leaf, then the whole path."""
    ranks = {level["depth"]: level["rank"] for level in levels}
    named = {ranks[one["depth"]]: one for one in found["level_accuracy"]}
    return {**named, "leaf accuracy": found["leaf_accuracy"], HCA: found["hca"]}


def _cell(figure: Mapping[str, Any]) -> str:
    return f"{interval(figure)}\nchance {figure['chance']:.1%}"
