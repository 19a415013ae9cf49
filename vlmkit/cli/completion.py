"""``vlmkit completion``: what a shell needs to complete commands, options and names; no torch is imported for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from vlmkit.cli.main import session
from vlmkit.runs.overview import run_directories

SHELLS = ("bash", "zsh", "fish")
"""The shells that a script is printed for."""

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
"""From what stands there so far to what it may become."""


def names(kind: str, path: str | None = None, joint: str | None = None) -> Complete:
    """Return what completes names of the registry.

    Args:
        kind: What the names are of: ``strategy``, ``adapter``, ``dataset``.
        path: ``file`` or ``dir`` where a path may stand as well.
        joint: What may stand between several names; the last one is completed.
    """

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, stop, begun = incomplete.rpartition(joint) if joint else ("", "", incomplete)
        found = [
            CompletionItem(f"{before}{stop}{entry.name}", help=entry.summary)
            for entry in session(context).plugins.registry.entries(kind)
            if entry.name.startswith(begun)
        ]
        return [*found, CompletionItem(incomplete, type=path)] if path else found

    return complete


def run_paths(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the paths of run directories in ``runs``, and any other directory."""
    found = [str(path) for path in run_directories(Path("runs"))]
    items = [CompletionItem(path) for path in found if path.startswith(incomplete)]
    return [*items, CompletionItem(incomplete, type="dir")]


def run_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the names of run directories below ``--root`` of ``vlmkit runs``."""
    root = context.parent.params["root"] if context.parent is not None else Path("runs")
    found = (path.relative_to(root).as_posix() for path in run_directories(root))
    return [CompletionItem(name) for name in found if name.startswith(incomplete)]


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete vlmkit's commands, options and names.

    bash: eval "$(vlmkit completion bash)" in ~/.bashrc. zsh: the same in ~/.zshrc. fish: vlmkit completion fish >
    ~/.config/fish/completions/vlmkit.fish
    """
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(context.find_root().command, {}, "vlmkit", "_VLMKIT_COMPLETE").source())
