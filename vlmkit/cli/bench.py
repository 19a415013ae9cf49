"""``vlmkit bench``: how fast and how right."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import click

from vlmkit.cli.lazy import LazyGroup

COMMANDS: Mapping[str, str] = MappingProxyType(
    {"collapse": "vlmkit.cli.collapse:collapse", "speed": "vlmkit.cli.speed:speed"}
)
"""The commands of the group, imported when they are asked for."""


@click.group(cls=LazyGroup, targets=COMMANDS)
def bench() -> None:
    """Measure how fast strategies run, and what becomes of them with many labels."""
