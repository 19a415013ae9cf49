"""Accuracy and cost against the number of labels, drawn with matplotlib (``pip install 'vlmkit[plot]'``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmkit.bench.collapse.figures import Point
from vlmkit.bench.plot import save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES = (
    ("#000000", "o", "-"),
    ("#D55E00", "s", "--"),
    ("#0072B2", "^", "-."),
    ("#009E73", "D", ":"),
    ("#CC79A7", "v", (0, (5, 1, 1, 1, 1, 1))),
    ("#E69F00", "P", (0, (1, 3))),
)
"""Colour, mark and line of each strategy, in turn: told apart in grey too, and by those who see few colours.

Source: M. Okabe and K. Ito, Color Universal Design (2008), for the colours.
"""

_NOTHING_OF_THE_MOMENT = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""Metadata of the formats that would otherwise hold the time."""


def plot(points: Sequence[Point], title: str, path: Path) -> None:
    """Draw both panels and write them; the same points give the same bytes.

    Args:
        points: What came out, in the order of the legend.
        title: What was measured, and on what.
        path: The file; its suffix says the format.

    Raises:
        UserError: It cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator

    with rc_context({"svg.hashsalt": "vlmkit"}):
        figure = Figure(figsize=(10, 4.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw_lines(left, points, lambda point: math.nan if point.accuracy is None else point.accuracy.value)
        _draw_bands(left, points)
        left.set_ylabel("top-1 accuracy")
        left.set_ylim(-0.02, 1.02)
        left.yaxis.set_major_formatter(lambda value, place: f"{value:.0%}")
        _draw_lines(right, points, lambda point: point.cost.seconds)
        right.set_ylabel("seconds an image")
        if any(point.cost.seconds for point in points):  # a scripted model takes no time
            right.set_yscale("log")
            right.yaxis.set_major_formatter("{x:g}")
            right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            right.yaxis.set_minor_locator(NullLocator())
        handles, names = left.get_legend_handles_labels()
        figure.suptitle(title, fontsize="medium")
        figure.legend(handles, names, loc="outside lower center", ncols=min(3, len(names)), frameon=False)
        save(figure, path, _NOTHING_OF_THE_MOMENT.get(path.suffix.lower()))


def _draw_lines(axes: Axes, points: Sequence[Point], value: Callable[[Point], float]) -> None:
    """Draw a line of marks for each strategy, over a logarithmic axis."""
    for (colour, mark, line), (strategy, mine) in zip(cycle(_STYLES), _by_strategy(points).items(), strict=False):
        labels = [point.labels for point in mine]
        values = [value(point) for point in mine]
        axes.plot(labels, values, color=colour, marker=mark, linestyle=line, markersize=5, label=strategy)
    counts = sorted({point.labels for point in points})
    axes.set_xscale("log")
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("labels")
    axes.grid(which="major", alpha=0.3)


def _draw_bands(axes: Axes, points: Sequence[Point]) -> None:
    """Draw the intervals of accuracy as bands, whose edges are lines like those of their strategies."""
    for (colour, _, line), mine in zip(cycle(_STYLES), _by_strategy(points).values(), strict=False):
        known = [(point.labels, point.accuracy.low, point.accuracy.high) for point in mine if point.accuracy]
        if known:
            labels, lows, highs = zip(*known, strict=True)
            look: dict[str, Any] = {"edgecolor": colour, "linestyle": line, "linewidth": 0.5}
            axes.fill_between(labels, lows, highs, facecolor=(colour, 0.15), **look)


def _by_strategy(points: Sequence[Point]) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {}
    for point in points:
        found.setdefault(point.strategy, []).append(point)
    return found
