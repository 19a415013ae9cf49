"""Accuracy and cost against the number of labels, drawn with matplotlib (``pip install 'vlmkit[plot]'``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlmkit.bench.collapse.figures import Point

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
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "vlmkit"}):
        figure = Figure(figsize=(10, 4.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw(left, points, _accuracy)
        left.set_ylabel("top-1 accuracy")
        left.set_ylim(-0.02, 1.02)
        left.yaxis.set_major_formatter(lambda value, place: f"{value:.0%}")
        _draw(right, points, lambda point: (point.cost.seconds,) * 3)
        right.set_ylabel("seconds an image")
        right.set_yscale("log")
        right.yaxis.set_major_formatter("{x:g}")
        handles, names = left.get_legend_handles_labels()
        figure.suptitle(title, fontsize="medium")
        figure.legend(handles, names, loc="outside lower center", ncols=min(3, len(names)), frameon=False)
        figure.savefig(path, dpi=150, metadata=_NOTHING_OF_THE_MOMENT.get(path.suffix.lower()))


def _accuracy(point: Point) -> tuple[float, float, float]:
    nan = float("nan")
    accuracy = point.accuracy
    return (nan, nan, nan) if accuracy is None else (accuracy.value, accuracy.low, accuracy.high)


def _draw(axes: Axes, points: Sequence[Point], of: Callable[[Point], tuple[float, float, float]]) -> None:
    """Draw a line with its band for each strategy.

    Args:
        axes: Where.
        points: What came out.
        of: From a point to its value and the ends of its interval.
    """
    for place, strategy in enumerate(dict.fromkeys(point.strategy for point in points)):
        colour, mark, line = _STYLES[place % len(_STYLES)]
        mine = [point for point in points if point.strategy == strategy]
        labels = [point.labels for point in mine]
        values, lows, highs = zip(*map(of, mine), strict=True)
        axes.fill_between(labels, lows, highs, color=colour, alpha=0.15, linewidth=0)
        axes.plot(labels, values, color=colour, marker=mark, linestyle=line, markersize=5, label=strategy)
    counts = sorted({point.labels for point in points})
    axes.set_xscale("log")
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("labels")
    axes.grid(which="major", alpha=0.3)
