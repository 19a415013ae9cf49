"""``vlmkit plugins``: every entry point found, sound or broken."""

from __future__ import annotations

import click

from vlmkit.cli.main import session
from vlmkit.cli.output import console, error, print_json, table


@click.command()
@click.option("--json", is_flag=True, help="Print JSON.")
@click.pass_context
def plugins(context: click.Context, json: bool) -> None:
    """List the plugins, sound and broken."""
    opened = session(context)
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
