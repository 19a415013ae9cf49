"""The five hooks. A plugin may take any subset of a hook's arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import click

    from vlmkit.registry.registry import Registry

hookspec = pluggy.HookspecMarker("vlmkit")
hookimpl = pluggy.HookimplMarker("vlmkit")
"""Marks a function of a plugin as a hook."""


@hookspec
def vlmkit_register(registry: Registry) -> None:
    """Register adapters, strategies, aggregators, interventions, data sets, benchmarks and engines by name."""


@hookspec
def vlmkit_commands(cli: click.Group) -> None:
    """Add commands to the ``vlmkit`` command line."""


@hookspec
def vlmkit_run_started(run: Any) -> None:
    """Observe a run that is about to start; ``run`` has ``directory`` and ``config``."""


@hookspec
def vlmkit_prediction(run: Any, prediction: Any) -> None:
    """Observe the record of one finished or failed example, right after it is on disk."""


@hookspec
def vlmkit_run_finished(run: Any, results: Any) -> None:
    """Observe a finished run; ``results`` is what ``results.json`` holds."""
