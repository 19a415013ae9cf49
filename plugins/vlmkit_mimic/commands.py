"""``vlmkit mimic``: its sub-commands, each in a module of its own that is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

import click

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "build": "vlmkit_mimic.build_command:build",
        "eval": "vlmkit_mimic.eval_command:evaluate",
        "attention": "vlmkit_mimic.attention_command:attention",
        "flops": "vlmkit_mimic.flops_command:flops",
    }
)
"""Where each sub-command is, as ``"package.module:attribute"``."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.group(cls=_Commands)
def mimic() -> None:
    """Questions over several images: benchmarks with controlled difficulty, and their evaluation."""
