"""The attention profile as a picture, drawn with matplotlib (``pip install 'vlmkit[plot]'``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vlmkit_mimic.attention import Profile


def draw(profile: Profile, title: str, path: Path) -> None:
    """Draw the shares over the layers and write the picture.

    Args:
        profile: The shares.
        title: What was measured.
        path: The file; its suffix says the format.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes: Any = figure.subplots()
    layers = [one.layer for one in profile.layers]
    axes.plot(layers, [one.inter for one in profile.layers], marker="o", label="to other images")
    axes.plot(layers, [one.intra for one in profile.layers], marker="s", label="to the own image")
    chance = [one.chance for one in profile.layers]
    axes.plot(layers, chance, color="grey", linestyle=":", label="to other images, by chance")
    axes.set_xlabel("layer")
    axes.set_ylabel("share of attention between visual tokens")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylim(-0.02, 1.02)
    axes.grid(alpha=0.3)
    figure.suptitle(title, fontsize="medium")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=150)
