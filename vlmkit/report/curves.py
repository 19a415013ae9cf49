"""Runs against each other: accuracy over the number of labels, and over what it costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vlmkit.report.charts import Chart, Point, Series
from vlmkit.report.figures import Figures
from vlmkit.report.subject import Subject, distinct_names


def charts(subjects: Sequence[Subject]) -> list[Chart]:
    """Return the charts that several runs give; a run without accuracy is in none."""
    figures = [(subject, Figures.of(subject)) for subject in subjects]
    judged = [(subject, one) for subject, one in figures if one.accuracy is not None]
    drawn = []
    counted = [(subject, one) for subject, one in judged if subject.labels]
    if len({subject.labels for subject, _ in counted}) > 1:
        series = _series(counted, lambda subject, _: subject.labels, "labels")
        drawn.append(Chart("Accuracy over the number of labels", "labels", series, joined=True))
    paid = [(subject, one) for subject, one in judged if one.tokens]
    if len(paid) > 1:
        series = _series(paid, lambda _, one: one.tokens, "tokens an example")
        drawn.append(Chart("Accuracy over cost", "tokens an example", series, joined=False))
    return drawn


def _series(
    runs: Sequence[tuple[Subject, Figures]], at: Callable[[Subject, Figures], float], unit: str
) -> tuple[Series, ...]:
    points: dict[tuple[str, ...], list[Point]] = {}
    methods = {tuple(subject.method.values()): subject.method for subject, _ in runs}
    for subject, one in runs:
        assert one.accuracy is not None
        x, accuracy = at(subject, one), one.accuracy
        title = f"{x:,.0f} {unit}, {accuracy.value:.1%} ({accuracy.low:.1%} to {accuracy.high:.1%})"
        points.setdefault(tuple(subject.method.values()), []).append(
            Point(x, accuracy.value, accuracy.low, accuracy.high, title)
        )
    names = distinct_names(list(methods.values()), [""] * len(methods))
    return tuple(Series(name, of) for name, of in zip(names, points.values(), strict=True))
