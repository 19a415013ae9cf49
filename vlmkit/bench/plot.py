"""Seconds an image against the number of labels, drawn with matplotlib (``pip install 'vlmkit[plot]'``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmkit.bench.figures import Speed
from vlmkit.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKS = ("o", "s", "^", "D")
"""One for each side, told apart without colours too."""


def check_plot(path: Path) -> None:
    """Make sure, before anything is measured, that a plot can be written.

    Raises:
        UserError: matplotlib is missing, cannot write such a file, or there is no such folder.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise UserError("--plot needs the package matplotlib", hint="run: pip install 'vlmkit[plot]'") from error
    known = Figure().canvas.get_supported_filetypes()
    if path.suffix.removeprefix(".").lower() not in known:
        raise UserError(f"no plot can be written as {path.name}", hint="name it .png, .svg or .pdf")
    if not path.parent.is_dir():
        raise UserError(f"there is no folder {path.parent} for the plot", hint="make it, or give another file")


def plot(speeds: Sequence[Speed], names: Mapping[str, str], title: str, path: Path) -> None:
    """Draw one panel for each readout and group size, both axes logarithmic, and write it.

    Args:
        speeds: What came of the cases.
        names: What to call each side, in the order of the legend.
        title: What was measured, and on what.
        path: The file; its suffix says the format.

    Raises:
        UserError: It cannot be written.
    """
    from matplotlib.figure import Figure

    panels: dict[str, list[Speed]] = {}
    for one in sorted(speeds, key=lambda one: one.case.labels):
        panels.setdefault(_name(one), []).append(one)
    figure = Figure(figsize=(max(6.4, 4.2 * len(panels) + 0.6), 4.6), layout="constrained")
    rows: Any = figure.subplots(1, len(panels), sharey=True, squeeze=False)
    for axes, (name, shown) in zip(rows[0], panels.items(), strict=True):
        _draw(axes, shown, names)
        axes.set_title(name, fontsize="medium")
    rows[0][0].set_ylabel("seconds an image")
    handles, labels = rows[0][0].get_legend_handles_labels()
    figure.suptitle(title, fontsize="medium")
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    save(figure, path)


def save(figure: Figure, path: Path, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a figure into a file, whose suffix says the format.

    Raises:
        UserError: It cannot be written.
    """
    try:
        figure.savefig(path, dpi=150, metadata=metadata)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror})", hint="choose another file") from error


def _name(one: Speed) -> str:
    groups = "" if one.case.group_size is None else f", groups of {one.case.group_size}"
    return f"{one.case.readout or one.case.strategy}{groups}"


def _draw(axes: Axes, speeds: Sequence[Speed], names: Mapping[str, str]) -> None:
    labels = [one.case.labels for one in speeds]
    for mark, (side, name) in zip(_MARKS, names.items(), strict=True):
        if side in speeds[0].seconds:
            seconds = [one.seconds_per_image[side] for one in speeds]
            axes.plot(labels, seconds, marker=mark, markersize=5, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xticks(labels, [f"{count:,}" for count in labels])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("labels")
    axes.grid(which="major", alpha=0.3)
