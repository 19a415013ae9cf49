"""Hierarchical recognition: figures over whole paths, four-choice question banks, and their evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlmkit import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def vlmkit_commands(cli: click.Group) -> None:
    """Add ``vlmkit hierarchy``."""
    from vlmkit_hierarchy.commands import hierarchy

    cli.add_command(hierarchy)
