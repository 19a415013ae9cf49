"""How a command that runs a model ends: what it says, and with which exit code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from vlmkit.cli.main import INTERRUPTED
from vlmkit.cli.options import Budget
from vlmkit.cli.output import error, note
from vlmkit.redaction import redacted


def end_run(context: click.Context, results: Mapping[str, Any], allowed: Budget, *, what: str = "examples") -> None:
    """End the command if the run was interrupted, or if more failed than was allowed.

    Args:
        context: The command.
        results: The run's results, which name its directory; of what was no run they say no status.
        allowed: How many may fail.
        what: What the run is over, in the plural.
    """
    status = results.get("status")
    if status == "cancelled":
        note(f"interrupted; the same command goes on from here, or: --output {results['directory']}")
        context.exit(INTERRUPTED)
    if status == "failed":
        n, directory = results["n"], results["directory"]
        error(
            f"{n['failed']:,} of {n['total']:,} {what} failed, more than --max-failures {allowed} allows; "
            f"see the errors in {directory}/predictions.jsonl; the same command tries them again"
        )
        context.exit(1)


def plain_options(context: click.Context, *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the merged options as plain JSON values without secrets, in the order of the help."""
    named = (parameter.name for parameter in context.command.params if parameter.name in context.params)
    return {name: _plain(context.params[name]) for name in named if name is not None and name not in without}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float) else redacted(str(value))
