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
    """Register the data set ``mimic``."""
    registry.dataset(
        "mimic",
        "vlmkit_mimic.dataset:Mimic",
        summary="Questions over several images, from a file of vlmkit mimic build",
        source=MIMIC,
    )


@hookimpl
def vlmkit_commands(cli: click.Group) -> None:
    """Add ``vlmkit mimic``."""
    from vlmkit_mimic.commands import mimic

    cli.add_command(mimic)
