"""``vlmkit hf``: its sub-commands, each in a module of its own that is imported when it is asked for."""

from __future__ import annotations

import click

from vlmkit.cli.lazy import LazyGroup


@click.group(cls=LazyGroup, targets={"card": "vlmkit_hf.card_command:card"})
def hf() -> None:
    """Results in the form of the Hugging Face Hub."""
