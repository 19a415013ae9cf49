"""``vlmkit hierarchy``: its sub-commands, each in a module of its own that is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import click

from vlmkit.cli.lazy import LazyGroup

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


@click.group(cls=LazyGroup, targets=COMMANDS)
def hierarchy() -> None:
    """Recognition along a taxonomy: question banks, evaluation, figures over whole paths."""
