"""``vlmkit plugins``: every entry point found, sound or broken; and how to begin another."""

from __future__ import annotations

from pathlib import Path

import click

from vlmkit.cli.main import Session, session
from vlmkit.cli.output import console, error, note, print_json, table
from vlmkit.registry import KINDS
from vlmkit.scaffold import KINDS as TEMPLATES
from vlmkit.scaffold import Distribution


@click.group(invoke_without_command=True)
@click.option("--json", is_flag=True, help="Print JSON.")
@click.pass_context
def plugins(context: click.Context, json: bool) -> None:
    """List the plugins, sound and broken, or begin a new one."""
    if context.invoked_subcommand is None:
        _list(session(context), json)


@plugins.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(TEMPLATES), required=True, help="What the plugin registers.")
@click.option(
    "--directory", type=click.Path(path_type=Path), default=Path(), metavar="DIR", help="Where its folder goes; here."
)
@click.pass_context
def new(context: click.Context, name: str, kind: str, directory: Path) -> None:
    """Write a plugin that works: the distribution vlmkit-NAME, with tests that pass.

    It registers one small thing called NAME; put your own in its place.
    """
    distribution = Distribution(name, kind)
    distribution.check_free(_taken(context))
    folder = distribution.write(directory)
    click.echo(folder)
    note(f"next: pip install --editable '{folder}[dev]', and then pytest in there; README.md has the rest")


def _taken(context: click.Context) -> dict[str, str]:
    """Return what every name stands for that is in use: commands, plugins and what they register."""
    host = session(context).plugins
    entries = [entry for kind in KINDS for entry in host.registry.entries(kind)]
    root = context.find_root().command
    assert isinstance(root, click.Group)
    return (
        {name: f"the command vlmkit {name}" for name in root.list_commands(context.find_root())}
        | {entry.name: f"the {entry.kind} of {entry.owner}" for entry in entries}
        | {plugin.name: f"the plugin {plugin.owner}" for plugin in host.plugins}
    )


def _list(opened: Session, json: bool) -> None:
    # A plugin that loads may still fail to add its commands.
    later = {failure.plugin: failure for failure in opened.failures}
    rows = [(plugin, plugin.error or later.get(plugin.owner)) for plugin in opened.plugins.plugins]
    if json:
        print_json(
            [
                {
                    "name": plugin.name,
                    "distribution": plugin.distribution,
                    "version": plugin.version,
                    "hooks": list(plugin.hooks),
                    "error": None if problem is None else str(problem),
                }
                for plugin, problem in rows
            ]
        )
        return
    console().print(
        table(
            ("name", "distribution", "version", "hooks", "status"),
            (
                (plugin.name, plugin.distribution, plugin.version, ", ".join(plugin.hooks), _status(problem is None))
                for plugin, problem in rows
            ),
        )
    )
    for _, problem in rows:
        if problem is not None:
            error(str(problem))


def _status(sound: bool) -> object:
    from rich.text import Text

    return Text("ok", "green") if sound else Text("broken", "red")
