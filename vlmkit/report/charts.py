"""Charts as SVG: where everything lies; the macro ``chart`` in ``parts.html.jinja`` draws it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from attrs import field, frozen

WIDTH, HEIGHT = 420, 280
LEFT, RIGHT, TOP, BOTTOM = 48, 398, 12, 236
"""The drawing area, in units of the view box."""

_MOST_TICKS = 7


@frozen
class Point:
    """One run.

    Args:
        x: Its number of labels, or its cost; above 0.
        y: Its accuracy, 0 to 1.
        low: Lower end of the accuracy's interval.
        high: Upper end of it.
        title: What the point says in words.
    """

    x: float
    y: float
    low: float
    high: float
    title: str


def _from_left(points: Iterable[Point]) -> tuple[Point, ...]:
    return tuple(sorted(points, key=lambda point: point.x))


@frozen
class Series:
    """Points that belong together, from left to right.

    Args:
        name: What the legend calls them.
        points: The points.
    """

    name: str
    points: tuple[Point, ...] = field(converter=_from_left)


@frozen(slots=False)
class Chart:
    """Accuracy over something on a logarithmic axis.

    Args:
        title: What it shows.
        x_name: What lies on the horizontal axis.
        series: What is drawn, each in its own colour and mark.
        joined: Whether the points of a series are joined by a line.
    """

    title: str
    x_name: str
    series: tuple[Series, ...]
    joined: bool

    @property
    def description(self) -> str:
        """The chart in words, for those who do not see it."""
        return ". ".join(
            f"{series.name}: {'; '.join(point.title for point in series.points)}" for series in self.series
        )

    @property
    def x_ticks(self) -> list[tuple[float, str]]:
        """Places and texts on the horizontal axis."""
        return [(self.x(value), _short(value)) for value in self._ladder]

    @property
    def y_ticks(self) -> list[tuple[float, str]]:
        """Places and texts on the vertical axis."""
        return [(self.y(percent / 100), f"{percent}%") for percent in range(0, 101, 25)]

    def x(self, value: float) -> float:
        """Return where a value lies, from the left."""
        low, high = math.log(self._ladder[0]), math.log(self._ladder[-1])
        return round(LEFT + (RIGHT - LEFT) * (math.log(value) - low) / (high - low), 1)

    def y(self, share: float) -> float:
        """Return where a share lies, from the top."""
        return round(BOTTOM - (BOTTOM - TOP) * share, 1)

    @property
    def _ladder(self) -> list[float]:
        return ladder(point.x for series in self.series for point in series.points)


def ladder(values: Iterable[float]) -> list[float]:
    """Return two or more round numbers (1, 2, 5, 10, ... or 1, 10, 100, ...) that all values lie between."""
    values = sorted(values)
    powers = range(math.floor(math.log10(values[0])) - 1, math.ceil(math.log10(values[-1])) + 2)
    for factors in ((1, 2, 5), (1,)):
        steps = [factor * 10.0**power for power in powers for factor in factors]
        start = max(index for index, step in enumerate(steps) if step <= values[0])
        end = max(start + 1, min(index for index, step in enumerate(steps) if step >= values[-1]))
        if end - start < _MOST_TICKS:
            break
    return steps[start : end + 1]


def _short(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1000 if letter == 'k' else size):g}{letter}"
    return f"{value:,g}"
