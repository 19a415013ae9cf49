"""What the commands print: results on stdout, everything else on stderr."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlmkit.errors import UserError
from vlmkit.redaction import redacted, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_CONTROLS = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}


def note(message: str) -> None:
    """Say something on stderr."""
    click.echo(visible(redacted(message)), err=True)


def show(message: str) -> None:
    """Print a line of the results on stdout."""
    click.echo(visible(redacted(message)))


def warning(message: str) -> None:
    """Warn on stderr, in one line."""
    click.secho(f"warning: {one_line(message)}", err=True, fg="yellow", color=_colour())


def error(message: str) -> None:
    """Report an error on stderr, in one line."""
    click.secho(f"error: {one_line(message)}", err=True, fg="red", color=_colour())


def _colour() -> bool | None:
    """Return whether to colour: never under ``NO_COLOR``, else where there is a terminal."""
    return False if os.environ.get("NO_COLOR") else None


def one_line(message: str) -> str:
    """Return the message as it may be shown: without line breaks, secrets, and characters that steer a terminal."""
    return visible(redacted(" ".join(message.split())))


def print_json(value: Any) -> None:
    r"""Print plain JSON values on stdout; control characters beyond ASCII, which JSON lets stand, as ``\u009b``."""
    from vlmkit.runs.convert import dumps

    click.echo(dumps(value, indent=2).decode().translate(_CONTROLS))


def write_text(path: Path, text: str) -> None:
    """Write a file as UTF-8; what is none, as in the names of some files, is written with escapes.

    Raises:
        UserError: It cannot be written.
    """
    try:
        path.write_bytes(text.encode("utf-8", "backslashreplace"))
    except OSError as problem:
        raise UserError(f"{path} cannot be written ({problem.strerror})", hint="choose another file") from problem


def console(*, stderr: bool = False) -> Console:
    """Return a rich console that prints text as it is: a label such as ``[bold]`` is no markup."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Return a table; cells are texts, made ``visible``, or rich renderables; long ones are folded, never cut."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, show_header=any(columns))
    for column in columns:
        made.add_column(visible(column), overflow="fold")
    for row in rows:
        made.add_row(*(visible(cell) if isinstance(cell, str) else cell for cell in row))
    return made
