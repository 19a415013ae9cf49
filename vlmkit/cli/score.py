"""``vlmkit score``: the figures of runs anew, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from vlmkit.cli.completion import run_paths
from vlmkit.cli.output import print_json


@click.command()
@click.argument(
    "runs", nargs=-1, required=True, shell_complete=run_paths, type=click.Path(path_type=Path), metavar="RUN..."
)
@click.option("--json", is_flag=True, help="Print JSON.")
def score(*, runs: Sequence[Path], json: bool) -> None:
    """Write the results of runs anew from their predictions, and say what changes.

    RUN is a run directory. No model is asked: for a run that was killed, for predictions that were mended by hand, and
    for figures that a newer version has.
    """
    # Only now: --help stays quick.
    from vlmkit.runs import Rescored

    scored = [Rescored.of(run) for run in runs]
    if json:
        print_json([{"directory": str(one.directory), "changed": one.changed, "results": one.after} for one in scored])
        return
    for one in scored:
        n = one.after["n"]
        click.echo(f"{one.directory}: {n['done']:,} done, {n['failed']:,} failed, {n['total']:,} in all")
        if one.before is None:
            click.echo("  there were no results before")
        for change in one.changed:
            click.echo(f"  {change}")
        if one.before is not None and not one.changed:
            click.echo("  nothing changes")
