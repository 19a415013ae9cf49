"""Questions over several images with controlled difficulty: benchmarks made from labelled boxes, and their scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlmkit import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def vlmkit_commands(cli: click.Group) -> None:
    """Add ``vlmkit mimic``."""
    from vlmkit_mimic.commands import mimic

    cli.add_command(mimic)
