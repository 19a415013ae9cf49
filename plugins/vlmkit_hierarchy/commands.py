"""``vlmkit hierarchy``: its sub-commands, each in a module of its own that is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

import click

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "questions": "vlmkit_hierarchy.questions_command:questions",
        "eval": "vlmkit_hierarchy.eval_command:evaluate",
        "sft-data": "vlmkit_hierarchy.sft_command:sft_data",
        "probe": "vlmkit_hierarchy.probes.probe_command:probe",
        "bottleneck": "vlmkit_hierarchy.probes.bottleneck_command:bottleneck",
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
def hierarchy() -> None:
    """Recognition along a taxonomy: question banks, evaluation, figures over whole paths."""
