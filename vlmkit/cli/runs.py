"""``vlmkit runs``: what run directories there are, what one says, and away with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from vlmkit.cli.completion import run_names
from vlmkit.cli.output import console, note, one_line, print_json, table
from vlmkit.runs.convert import to_json
from vlmkit.runs.fingerprint import leaves, shown
from vlmkit.runs.overview import Overview, delete_run, find_run, run_directories
from vlmkit.runs.stored import StoredRun

ROOT = click.option(
    "--root",
    type=click.Path(path_type=Path),
    default="runs",
    show_default=True,
    metavar="DIR",
    help="Where run directories lie.",
)


@click.group(invoke_without_command=True)
@ROOT
@click.option("--json", is_flag=True, help="Print JSON.")
@click.pass_context
def runs(context: click.Context, root: Path, json: bool) -> None:
    """List the runs below a directory; show one; delete some."""
    context.obj = root
    if context.invoked_subcommand is not None:
        return
    found = [Overview.of(path) for path in run_directories(root)]
    if json:
        print_json([to_json(run) for run in found])
    elif found:
        columns = ("run", "status", "strategy", "model", "data", "accuracy", "started", "size")
        console().print(table(columns, (_row(run, root) for run in found)))
    else:
        note(f"there is no run in {root}")


@runs.command()
@click.argument("run", shell_complete=run_names)
@click.option("--json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show(root: Path, run: str, json: bool) -> None:
    """Show the manifest and the results of RUN, a directory or the begin or end of its name."""
    stored = StoredRun.read(find_run(run, root))
    if json:
        print_json({"path": str(stored.path), "manifest": stored.manifest, "results": stored.results})
        return
    click.echo(str(stored.path))
    for title, content in (("manifest", stored.manifest), ("results", stored.results)):
        rows = [(key, shown(value)) for key, value in leaves(content or {})]
        click.echo(f"{title}:")
        console().print(table(("", ""), rows or [("none yet", "")]))


@runs.command()
@click.argument("names", metavar="RUN...", nargs=-1, required=True, shell_complete=run_names)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete(root: Path, names: Sequence[str], yes: bool) -> None:
    """Delete runs with all their files: RUN is a directory, or the begin or end of its name."""
    paths = dict.fromkeys(find_run(name, root) for name in names)
    for path in paths:
        StoredRun.read(path)  # nothing goes if one of them is no run
    if not yes and not click.confirm(f"delete {', '.join(map(str, paths))}?", err=True):
        return
    for path in paths:
        delete_run(path)
        note(f"deleted {path}")


def _row(run: Overview, root: Path) -> tuple[str, ...]:
    share = run.accuracy
    accuracy = "-" if share is None else f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"
    status = f"{run.status}: {one_line(run.problem)}" if run.problem else run.status
    named = (run.strategy or "-", run.model or "-", run.data or "-")
    started = (run.started or "-")[:16].replace("T", " ")
    return str(run.path.relative_to(root)), status, *named, accuracy, started, f"{run.bytes / 2**20:,.1f} MiB"
