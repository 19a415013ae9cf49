"""The command ``vlmkit``: finds its sub-commands, loads the plugins, turns errors into one line and an exit code."""

from __future__ import annotations

import errno
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

import click
from attrs import frozen

from vlmkit import __version__
from vlmkit.cli.lazy import LazyGroup
from vlmkit.cli.output import error, note, warning
from vlmkit.errors import PluginError, VlmkitError
from vlmkit.registry import PluginHost
from vlmkit.registry.isolate import call_each
from vlmkit.registry.trace import Trace

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "run": "vlmkit.cli.run:run",
        "plan": "vlmkit.cli.plan:plan",
        "compare": "vlmkit.cli.compare:compare",
        "ls": "vlmkit.cli.ls:ls",
        "plugins": "vlmkit.cli.plugins:plugins",
        "doctor": "vlmkit.cli.doctor:doctor",
        "parity": "vlmkit.cli.parity:parity",
        "score": "vlmkit.cli.score:score",
        "report": "vlmkit.cli.report:report",
        "bench": "vlmkit.cli.bench:bench",
        "cache": "vlmkit.cli.cache:cache",
        "runs": "vlmkit.cli.runs:runs",
        "completion": "vlmkit.cli.completion:completion",
    }
)
"""The core's commands, imported when they are asked for."""

_SHOW_PLUGINS = ("plugins", "doctor")
"""Commands that show broken plugins themselves."""

INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM, as shells have it: 128 plus the number of SIGINT."""

ARGUMENTS = "vlmkit.arguments"
"""Where a context keeps the words of the call, without the name of the program."""


@frozen
class Session:
    """What one call of the command line shares with its commands.

    Args:
        plugins: The loaded plugins.
        added: The commands that they added.
        failures: Plugins whose commands could not be added.
    """

    plugins: PluginHost
    added: click.Group
    failures: tuple[PluginError, ...]


class _Added(click.Group):
    """Takes the plugins' commands; refuses a name that is taken."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        name = name or cmd.name
        if name in COMMANDS or name in self.commands:
            raise ValueError(f"the command {name!r} is already taken")
        super().add_command(cmd, name)


def session(context: click.Context) -> Session:
    """Return the session of this call; the first use loads the plugins.

    Raises:
        UnknownNameError: ``--no-plugin`` names no plugin.
        PluginError: ``--load-plugin`` names a module that is no sound plugin.
    """
    root = context.find_root()
    if not isinstance(root.obj, Session):
        plugins = PluginHost.load(
            blocked=root.params.get("no_plugin") or (),
            modules=root.params.get("load_plugin") or (),
            trace=Trace(lambda line: note(f"plugins: {line}")) if root.params.get("trace_plugins") else None,
        )
        added = _Added()
        root.obj = Session(plugins, added, tuple(call_each(plugins, "vlmkit_commands", cli=added).values()))
    return root.obj


class Commands(LazyGroup):
    """The core's commands and those of the plugins."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Return the context of a call, which keeps the words that it was given."""
        given = tuple(args)
        context = super().make_context(info_name, args, parent, **extra)
        context.meta[ARGUMENTS] = given
        return context

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, the core's first."""
        return [*super().list_commands(ctx), *session(ctx).added.list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, or None."""
        return super().get_command(ctx, cmd_name) or session(ctx).added.get_command(ctx, cmd_name)


@click.group(
    cls=Commands,
    targets=COMMANDS,
    context_settings={
        "auto_envvar_prefix": "VLMKIT",
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
)
@click.option(
    "--no-plugin", multiple=True, is_eager=True, metavar="NAME", help="Leave this plugin out. May be given repeatedly."
)
@click.option(
    "--load-plugin",
    envvar="VLMKIT_LOAD_PLUGINS",
    multiple=True,
    is_eager=True,
    metavar="MODULE",
    help="Load this module as a plugin, installed or not. May be given repeatedly.",
)
@click.option("--trace-plugins", is_flag=True, is_eager=True, help="Tell on stderr what is loaded and called.")
@click.version_option(__version__, prog_name="vlmkit")
@click.pass_context
def cli(context: click.Context, no_plugin: Sequence[str], load_plugin: Sequence[str], trace_plugins: bool) -> None:
    """Inference strategies for vision-language models where plain prompting fails."""
    opened = session(context)
    if context.invoked_subcommand not in _SHOW_PLUGINS:
        for broken in opened.plugins.failures:
            warning(str(broken.error))
        for failure in opened.failures:
            warning(str(failure))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 fine, 1 failures over the budget, 2 a wrong request, 130 interrupted."""
    for stream in filter(None, (sys.stdout, sys.stderr)):  # a closed one is None
        # File names that are not valid Unicode must not stop a report.
        stream.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(arguments, prog_name="vlmkit", standalone_mode=False)
    except click.Abort:
        code = INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as asked:
        asked.show()
        code = 2
    except click.ClickException as problem:
        error(problem.format_message())
        code = 2
    except VlmkitError as problem:
        error(str(problem))
        code = 2
    except MemoryError:
        error("out of memory; give a smaller --in-flight, or more memory; the same command goes on")
        code = 2
    except OSError as problem:  # runs report their own; what is left is the output
        if problem.errno != errno.ENOSPC:
            raise
        error("the output cannot be written: no space is left; free space where it goes")
        sys.stdout = None  # the interpreter would try again, and complain, at its end
        code = 2
    sys.exit(code if isinstance(code, int) else 0)
