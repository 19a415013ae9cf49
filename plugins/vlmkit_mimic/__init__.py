"""Questions over several images with controlled difficulty: benchmarks made from labelled boxes, and their scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlmkit import Registry, hookimpl

if TYPE_CHECKING:
    import click

MIMIC = 'MIMIC, "More Images, More Problems?"'
"""The paper that the tasks and the released scorers come from."""


@hookimpl
def vlmkit_register(registry: Registry) -> None:
    """Register the data set, and the strategies and interventions for prompts of many images."""
    registry.dataset(
        "mimic",
        "vlmkit_mimic.dataset:Mimic",
        summary="Questions over several images, from a file of vlmkit mimic build",
        source=MIMIC,
    )
    registry.strategy(
        "pooled",
        "vlmkit_mimic.pooled:Pooled",
        summary="Another strategy, on the means of consecutive visual tokens",
        source=MIMIC,
        wraps=True,
    )
    registry.strategy(
        "fastv",
        "vlmkit_mimic.pruned:Pruned",
        summary="Another strategy, without the visual tokens that get the least attention",
        source="arXiv 2403.06764",
        wraps=True,
    )
    registry.strategy(
        "visionzip",
        "vlmkit_mimic.zipped:Zipped",
        summary="Another strategy, on the dominant visual tokens and the others merged",
        source="arXiv 2412.04467",
        wraps=True,
    )
    registry.strategy(
        "masked",
        "vlmkit_mimic.masked:Masked",
        summary="Another strategy, where images do not see each other in chosen layers",
        source=MIMIC,
        wraps=True,
    )
    registry.strategy(
        "resampled",
        "vlmkit_mimic.resampled:Resampled",
        summary="Another strategy, on images of less detail and the same size",
        source=MIMIC,
        wraps=True,
    )
    registry.strategy(
        "stitched",
        "vlmkit_mimic.stitched:Stitched",
        summary="Another strategy, on all images in a single one",
        source=MIMIC,
        wraps=True,
    )
    registry.intervention(
        "mean", "vlmkit_mimic.reducers.mean:Mean", summary="Consecutive visual tokens become their mean", source=MIMIC
    )
    registry.intervention(
        "fastv",
        "vlmkit_mimic.reducers.fastv:FastV",
        summary="Visual tokens that get the least attention in an early layer go",
        source="arXiv 2403.06764",
    )
    registry.intervention(
        "visionzip",
        "vlmkit_mimic.reducers.visionzip:VisionZip",
        summary="Visual tokens of the largest norm stay, the others are merged",
        source="arXiv 2412.04467",
    )
    registry.intervention("mask", "vlmkit:Mask", summary="In chosen layers images do not see each other", source=MIMIC)


@hookimpl
def vlmkit_commands(cli: click.Group) -> None:
    """Add ``vlmkit mimic``."""
    from vlmkit_mimic.commands import mimic

    cli.add_command(mimic)
