"""How a command that runs a model ends: what it says, and with which exit code."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import click

from vlmkit.cli.main import ARGUMENTS, INTERRUPTED
from vlmkit.cli.options import Budget
from vlmkit.cli.output import error, note
from vlmkit.redaction import redacted

_ONCE = ("--fresh", "--retry-failed", "--retry_failed")
"""Options that say how a run is begun, and not how it goes on."""


def end_run(
    context: click.Context,
    results: Mapping[str, Any],
    allowed: Budget,
    *,
    what: str = "examples",
    output: str | None = None,
) -> None:
    """End the command if the run is not finished, or if more failed than was allowed.

    Args:
        context: The command.
        results: The run's results, which name its directory; of what was no run they say no status.
        allowed: How many may fail.
        what: What the run is over, in the plural.
        output: What ``--output`` is given to go on; by default the run's directory.
    """
    status = results.get("status")
    if status not in ("cancelled", "unfinished", "failed"):
        return
    n, directory = results["n"], results["directory"]
    going_on = _command(context, output or directory)
    if status == "cancelled":
        note(f"interrupted after {n['done'] + n['failed']:,} of {n['total']:,} {what}; go on with: {going_on}")
        context.exit(INTERRUPTED)
    if status == "unfinished":
        left = n["total"] - n["done"] - n["failed"]
        note(f"{left:,} of {n['total']:,} {what} are not asked about yet; go on with: {going_on}")
        return
    retry = " --retry-failed" if "retry_failed" in context.params else ""
    error(
        f"{n['failed']:,} of {n['total']:,} {what} failed, more than --fail-on-error {allowed} allows; "
        f"see the errors in {directory}/predictions.jsonl; try them again with: {going_on}{retry}"
    )
    context.exit(1)


def plain_options(context: click.Context, *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the merged options as plain JSON values without secrets, in the order of the help."""
    named = (parameter.name for parameter in context.command.params if parameter.name in context.params)
    return {name: _plain(context.params[name]) for name in named if name is not None and name not in without}


def _command(context: click.Context, output: str) -> str:
    """Return the command that goes on with a run, as a shell takes it."""
    words = [word for word in context.meta[ARGUMENTS] if word not in _ONCE]
    if context.params["output"] is None:
        words += ["--output", output]
    return shlex.join(["vlmkit", *map(redacted, words)])


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float) else redacted(str(value))
