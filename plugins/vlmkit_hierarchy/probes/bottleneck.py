"""Where recognition along a taxonomy breaks: vision probes, text and the model itself, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from vlmkit_hierarchy.probes.tables import percent

HCA = "HCA"
"""The row of whole paths, which comes last."""


@frozen
class Side:
    """One column of the report.

    Args:
        name: What it is.
        figures: Proportions with their intervals, by level and for whole paths.
    """

    name: str
    figures: Mapping[str, Mapping[str, Any]]


@frozen
class Report:
    """Sides with a row for each level that any of them has, and one for whole paths.

    Args:
        sides: The columns.
    """

    sides: tuple[Side, ...]

    @property
    def rows(self) -> tuple[str, ...]:
        """The levels, top first, and ``HCA``."""
        names = dict.fromkeys(name for side in self.sides for name in side.figures if name != HCA)
        return (*names, HCA)

    def cells(self, row: str) -> list[str]:
        """Return a row as text; a dash where a side was not judged."""
        return [percent(side.figures[row]) if row in side.figures else "-" for side in self.sides]

    def markdown(self) -> str:
        """Return the report as a table in Markdown."""
        head = ["", *(side.name for side in self.sides)]
        lines = [head, ["---", *["--:"] * len(self.sides)], *([row, *self.cells(row)] for row in self.rows)]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def json(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {"rows": list(self.rows), "sides": [{"name": side.name, "figures": side.figures} for side in self.sides]}
