"""The bottleneck report as a picture; needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vlmkit.errors import UserError
from vlmkit.runs.files import disk_errors
from vlmkit_hierarchy.probes.bottleneck import Report

SPREAD = 0.5
"""How far apart the outermost points of one row lie, of the distance between two rows."""


def plot(report: Report, path: Path) -> None:
    """Draw a point with its 95 % interval for each figure, and write the picture in the format of the file's name.

    Raises:
        UserError: matplotlib is missing, or does not write that format.
        RunDirectoryError: The file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("plots need matplotlib, which is missing", hint="pip install 'vlmkit[plot]'") from None
    rows = report.rows
    figure = Figure(figsize=(2 + 1.2 * len(rows), 4), layout="constrained")
    axes: Any = figure.subplots()
    for index, side in enumerate(report.sides):
        shift = SPREAD * (index / max(1, len(report.sides) - 1) - 0.5)
        found = [(place + shift, row[index]) for place, row in enumerate(rows.values()) if row[index] is not None]
        values = [one["value"] for _, one in found if one]
        below = [one["value"] - one["low"] for _, one in found if one]
        above = [one["high"] - one["value"] for _, one in found if one]
        axes.errorbar([x for x, _ in found], values, (below, above), fmt="o", capsize=3, label=side.name)
    axes.set_xticks(range(len(rows)), rows)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("share of right answers, 95 % intervals")
    figure.legend(loc="outside upper center", ncols=3)
    with disk_errors(path):
        try:
            figure.savefig(path)
        except ValueError as error:
            raise UserError(f"{path} cannot be drawn ({error})", hint="end its name with .png, .pdf or .svg") from None
