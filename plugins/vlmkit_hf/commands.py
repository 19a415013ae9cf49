"""``vlmkit hf``."""

import click


@click.group()
def hf() -> None:
    """Exchange with the Hugging Face Hub."""
