"""The figures as tables: for the screen, as Markdown, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from attrs import asdict, frozen

from vlmkit.bench.collapse.figures import Point
from vlmkit.markdown import markdown_table
from vlmkit.measures import Interval


@frozen
class Sheet:
    """A table.

    Args:
        title: What it shows.
        columns: Their heads.
        rows: The cells.
        words: How many columns from the left hold words; the others hold numbers.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1

    def markdown(self) -> str:
        """Return the table in Markdown, under its title."""
        return f"{self.title}:\n\n{markdown_table(self.columns, self.rows, words=self.words)}"


def sheets(points: Sequence[Point]) -> list[Sheet]:
    """Return what a reader wants to see: accuracy, cost, rounds of strategies that have several, and errors."""
    shown = [_accuracies(points), _costs(points)]
    for strategy in dict.fromkeys(point.strategy for point in points):
        mine = [point for point in points if point.strategy == strategy]
        if any(len(point.levels) > 1 for point in mine):
            shown.append(_rounds(strategy, mine))
    if any(any(point.lost.values()) for point in points):
        shown.append(_errors(points))
    return shown


def csv_text(points: Sequence[Point]) -> str:
    """Return one line for each strategy and number of labels, with all figures that stand for all rounds together."""
    rows = [_flat(point) for point in points]
    heads = dict.fromkeys(head for row in rows for head in row)
    file = io.StringIO()
    writer = csv.DictWriter(file, heads, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _accuracies(points: Sequence[Point]) -> Sheet:
    strategies = tuple(dict.fromkeys(point.strategy for point in points))
    cells = {(point.labels, point.strategy): _share(point.accuracy) for point in points}
    rows = (
        (f"{labels:,}", *(cells[labels, strategy] for strategy in strategies))
        for labels in dict.fromkeys(point.labels for point in points)
    )
    return Sheet("Top-1 accuracy, with 95 % intervals", ("labels", *strategies), tuple(rows), words=0)


def _costs(points: Sequence[Point]) -> Sheet:
    replayed, priced = any(point.cost.cached for point in points), any(point.cost.price for point in points)
    rows = []
    for point in points:
        cost = point.cost
        figures = {
            "questions": f"{cost.queries:.1f}",
            **({"cached": f"{cost.cached:.1f}"} if replayed else {}),
            "forwards": f"{cost.forwards:.2f}",
            "tokens": f"{cost.tokens:,.0f}",
            "seconds": f"{cost.seconds:.3f}",
            **({"price": f"{cost.price:.4f}"} if priced else {}),
        }
        heads = ("strategy", "labels", *figures)
        rows.append((*_named(point), *figures.values()))
    return Sheet("Cost of an image", heads, tuple(rows))


def _rounds(strategy: str, points: Sequence[Point]) -> Sheet:
    rows = [
        (
            f"{point.labels:,}",
            str(number),
            f"{level.images:,}",
            f"{level.candidates:,.1f}",
            f"{level.survivors:,.1f}",
            f"{level.shrink:.3f}",
            _share(level.survival),
            _rate(level.none_rate),
            _rate(level.invalid_rate),
        )
        for point in points
        for number, level in enumerate(point.levels, start=1)
    ]
    heads = ("labels", "round", "images", "in", "out", "shrink", "survival", "None", "invalid")
    return Sheet(f"Rounds of {strategy}", heads, tuple(rows), words=0)


def _errors(points: Sequence[Point]) -> Sheet:
    # Of the deepest point, which has all rounds.
    known = max((point.lost for point in points), key=len)
    places = [place for place in known if any(point.lost.get(place) for point in points)]
    rows = [
        (
            *_named(point),
            f"{point.images:,}",
            f"{sum(point.lost.values()):,}",
            *(f"{point.lost.get(place, 0):,}" for place in places),
        )
        for point in points
    ]
    return Sheet("Where the right label was lost", ("strategy", "labels", "images", "errors", *places), tuple(rows))


def _named(point: Point) -> tuple[str, str]:
    return point.strategy, f"{point.labels:,}"


def _flat(point: Point) -> dict[str, Any]:
    found = {"strategy": point.strategy, "labels": point.labels, "images": point.images}
    if point.accuracy is not None:
        found |= {"accuracy": point.accuracy.value, "low": point.accuracy.low, "high": point.accuracy.high}
    return found | asdict(point.cost) | {f"lost: {place}": count for place, count in point.lost.items()}


def _share(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.value:.0%} ({interval.low:.0%}-{interval.high:.0%})"


def _rate(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.value:.1%}"
