"""``vlmkit mimic``: its sub-commands, each in a module of its own that is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import click

from vlmkit.cli.lazy import LazyGroup

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "build": "vlmkit_mimic.build_command:build",
        "eval": "vlmkit_mimic.eval_command:evaluate",
        "train-data": "vlmkit_mimic.train_data_command:train_data",
        "attention": "vlmkit_mimic.attention_command:attention",
        "flops": "vlmkit_mimic.flops_command:flops",
    }
)
"""Where each sub-command is, as ``"package.module:attribute"``."""


@click.group(cls=LazyGroup, targets=COMMANDS)
def mimic() -> None:
    """Questions over several images: benchmarks with controlled difficulty, and their evaluation."""
