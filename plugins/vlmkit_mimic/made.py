"""What was made, for the terminal or as JSON."""

from __future__ import annotations

from pathlib import Path

from vlmkit.cli.output import console, note, print_json, table
from vlmkit_mimic.benchmark import Header

REASONS_SHOWN = 12
"""Cells without items that are named on the terminal; all are in the header and in ``--json``."""


def report(
    header: Header,
    output: Path,
    *,
    what: str = "items",
    json: bool,
    quiet: bool,
    reading: float,
    making: float,
) -> None:
    """Print what was made, what was left out, and what could not be made.

    Args:
        header: The header of the file.
        output: The file.
        what: What its items are called.
        json: Whether to print JSON.
        quiet: Whether to print only the cells that cannot be made.
        reading: Seconds that reading the source took.
        making: Seconds that making the items took.
    """
    made = sum(plan.items for plan in header.cells)
    lacking = [plan for plan in header.cells if plan.infeasible]
    if json:
        print_json(
            {
                "output": str(output),
                what: made,
                "seconds": {"reading": reading, "making": making},
                f"{what}_per_second": made / making,
                "pictures": header.pictures,
                "dropped": header.dropped,
                "cells": {plan.key: plan.items for plan in header.cells if not plan.infeasible},
                "infeasible": {plan.key: plan.infeasible for plan in lacking},
            }
        )
        return
    for reason, number in header.dropped.items():
        if not quiet:
            note(f"{number:,} pictures left out: {reason}")
    if not quiet:
        cells = len(header.cells) - len(lacking)
        note(f"{header.pictures:,} pictures read in {reading:.1f} s")
        note(f"{made:,} {what} in {cells:,} cells made in {making:.1f} s ({made / making:,.0f} a second)")
    if lacking:
        rows = [(plan.key, plan.infeasible) for plan in lacking[:REASONS_SHOWN]]
        console().print(table((f"cell without {what}", "reason"), rows))
        if len(lacking) > REASONS_SHOWN:
            note(f"{len(lacking) - REASONS_SHOWN:,} more cells without {what}: see the header of {output}, or --json")
