"""Fine-tuning: LoRA of a vision-language checkpoint on conversations about images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlmkit import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def vlmkit_commands(cli: click.Group) -> None:
    """Add ``vlmkit train``."""
    from vlmkit_train.commands import train

    cli.add_command(train)
