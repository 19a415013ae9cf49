"""Groups of commands, each in a module of its own that is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from vlmkit.errors import UnknownNameError


class LazyGroup(click.Group):
    """Commands by name, from where they are.

    Args:
        targets: Where each command is, as ``"package.module:attribute"``.
    """

    def __init__(self, *args: Any, targets: Mapping[str, str], **more: Any) -> None:
        super().__init__(*args, **more)
        self.targets = targets

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names."""
        return list(self.targets)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, or None."""
        if cmd_name not in self.targets:
            return None
        module, _, attribute = self.targets[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name, and the arguments left for it.

        Raises:
            UnknownNameError: There is no such command; near matches are in the hint.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            raise UnknownNameError("command", args[0], self.list_commands(ctx)) from None
