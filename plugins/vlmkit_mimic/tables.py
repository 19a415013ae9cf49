"""Figures of several runs side by side, as tables for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.table import Table

from vlmkit.cli.output import table
from vlmkit.measures import Interval
from vlmkit_mimic.figures import Figures, Report

Reports = Mapping[str, Report]
"""Reports by what tables call them."""


def totals_table(reports: Reports) -> Table:
    """Return the figures of each task and of all together."""
    return table(("task", "figure", "n", *reports, "constant guess"), _total_rows([*reports.values()]))


def factor_table(factor: str, reports: Reports) -> Table | None:
    """Return the main figure of each task at each value of a factor, or None where no task has several values."""
    rows = list(_factor_rows(factor, [*reports.values()]))
    return table(("task", factor, "figure", "n", *reports, "constant guess"), rows) if rows else None


def _total_rows(reports: Sequence[Report]) -> Iterator[Sequence[str]]:
    for task in dict.fromkeys(task for report in reports for task in report.tasks):
        figures = [report.tasks.get(task) for report in reports]
        n = _n(figures)
        if task == "listing":
            yield task, "F1, micro", n, *_shares(figures, lambda one: one.f1_micro), ""
            yield task, "F1, macro", n, *_shares(figures, lambda one: one.f1_macro), ""
        name = "whole set right" if task == "listing" else "accuracy"
        yield task, name, n, *_shares(figures, lambda one: one.accuracy), _constant(figures)
    overall = [report.overall for report in reports]
    n = f"{max(one.n for one in overall):,}"
    yield "all", "accuracy, micro", n, *(_share(one.accuracy_micro) for one in overall), ""
    yield "all", "accuracy, macro", n, *(_share(one.accuracy_macro) for one in overall), ""
    yield "all", "mean of tasks", n, *(_share(one.mean) for one in overall), ""


def _factor_rows(factor: str, reports: Sequence[Report]) -> Iterator[Sequence[str]]:
    by_task = [report.factors[factor] for report in reports]
    for task in dict.fromkeys(task for tasks in by_task for task in tasks):
        for value in dict.fromkeys(value for tasks in by_task for value in tasks.get(task, {})):
            figures = [tasks.get(task, {}).get(value) for tasks in by_task]
            main = "F1, micro" if task == "listing" else "accuracy"
            guess = "" if task == "listing" else _constant(figures)
            yield task, value, main, _n(figures), *_shares(figures, lambda one: one.main), guess


def _n(figures: Sequence[Figures | None]) -> str:
    return f"{max(one.n for one in figures if one is not None):,}"


def _constant(figures: Sequence[Figures | None]) -> str:
    return next(f"{one.constant:.1%}" for one in figures if one is not None)


def _shares(figures: Sequence[Figures | None], wanted: Callable[[Figures], Interval | None]) -> list[str]:
    return [_share(None if one is None else wanted(one)) for one in figures]


def _share(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{interval.value:.1%} ({interval.low:.1%}-{interval.high:.1%})"
