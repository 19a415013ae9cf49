"""One plot for each factor, drawn with matplotlib (``pip install 'vlmkit[plot]'``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmkit.errors import UserError
from vlmkit_mimic.figures import Figures, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKS = "os^Dvp"
"""One for each run, told apart without colours too."""


def check_plots(folder: Path) -> None:
    """Make sure, before anything is asked, that plots can be written.

    Raises:
        UserError: matplotlib is missing, or the folder cannot be made.
    """
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError("--plots needs the package matplotlib", hint="run: pip install 'vlmkit[plot]'") from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"folder {folder} cannot be made ({reason})", hint="give another --plots") from None


def plot_factors(reports: Mapping[str, Report], title: str, folder: Path) -> Iterator[Path]:
    """Draw the main figure of each task against each factor, and write ``FACTOR.png``; yield the files.

    Args:
        reports: Reports by what the legend calls them.
        title: What was measured.
        folder: Where the files go.
    """
    factors = dict.fromkeys(factor for report in reports.values() for factor, tasks in report.factors.items() if tasks)
    for factor in factors:
        path = folder / f"{factor}.png"
        _plot(factor, reports, title, path)
        yield path


def _plot(factor: str, reports: Mapping[str, Report], title: str, path: Path) -> None:
    from matplotlib.figure import Figure

    tasks = list(dict.fromkeys(task for report in reports.values() for task in report.factors[factor]))
    figure = Figure(figsize=(3.4 * len(tasks) + 0.8, 5.4 if factor == "cell" else 4.0), layout="constrained")
    panels: Any = figure.subplots(1, len(tasks), sharey=True, squeeze=False)
    for axes, task in zip(panels[0], tasks, strict=True):
        shown = {name: report.factors[factor].get(task, {}) for name, report in reports.items()}
        _draw(axes, shown)
        axes.set_title(f"{task}, {'F1' if task == 'listing' else 'accuracy'}", fontsize="medium")
        axes.set_xlabel(factor)
    legend = {
        label: handle for axes in panels[0] for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.suptitle(title, fontsize="medium")
    figure.legend([*legend.values()], [*legend], loc="outside lower center", ncols=min(len(legend), 3), frameon=False)
    figure.savefig(path, dpi=150)


def _draw(axes: Axes, shown: Mapping[str, Mapping[str, Figures]]) -> None:
    values = list(dict.fromkeys(value for of_run in shown.values() for value in of_run))
    for place, (name, of_run) in enumerate(shown.items()):
        points = [(values.index(value), figures.main) for value, figures in of_run.items()]
        # Side by side, so that bars of runs that agree do not hide each other.
        aside = 0.08 * (place - (len(shown) - 1) / 2)
        drawn = [(x + aside, main) for x, main in points if main is not None]
        axes.errorbar(
            [x for x, _ in drawn],
            [main.value for _, main in drawn],
            yerr=[[main.value - main.low for _, main in drawn], [main.high - main.value for _, main in drawn]],
            marker=_MARKS[place % len(_MARKS)],
            capsize=3,
            label=name,
        )
    guesses = _guesses(shown, values)
    if guesses:
        axes.plot(range(len(values)), guesses, color="grey", linestyle=":", label="constant guess")
    axes.set_xticks(range(len(values)), values, rotation=90 if max(map(len, values)) > 6 else 0)
    axes.set_ylim(-0.03, 1.03)
    axes.grid(alpha=0.3)


def _guesses(shown: Mapping[str, Mapping[str, Figures]], values: Sequence[str]) -> list[float]:
    """Return the accuracy of a constant guess at each value; for Listing nothing, as F1 has no such guess."""
    figures = {value: one for of_run in shown.values() for value, one in of_run.items()}
    if any(one.f1_micro is not None for one in figures.values()):
        return []
    return [figures[value].constant for value in values]
