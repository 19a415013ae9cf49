"""Drawn glyphs with 1,000 labels in a natural taxonomy, and the recipe of the embedded model that reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlmkit import Registry, hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def vlmkit_register(registry: Registry) -> None:
    """Register the data set ``glyphs``."""
    registry.dataset(
        "glyphs", "vlmkit_glyphs.dataset:Glyphs", summary="Drawn shapes, 2 to 1,000 labels such as 'red striped circle'"
    )


@hookimpl
def vlmkit_commands(cli: click.Group) -> None:
    """Add ``vlmkit glyphs``."""
    from vlmkit_glyphs.commands import glyphs

    cli.add_command(glyphs)
