"""Fine-tuning: LoRA of a vision-language checkpoint on conversations about images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlmkit import Registry, hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def vlmkit_register(registry: Registry) -> None:
    """Register the data set that reads what models are fine-tuned on."""
    registry.dataset(
        "conversations",
        "vlmkit_train.dataset:ConversationQuestions",
        summary="Questions about images, from LLaVA-style conversations with their replies",
        source="arXiv 2304.08485",
    )


@hookimpl
def vlmkit_commands(cli: click.Group) -> None:
    """Add ``vlmkit train``."""
    from vlmkit_train.commands import train

    cli.add_command(train)
