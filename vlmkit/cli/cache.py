"""``vlmkit cache``: what the answer cache holds, and how to empty it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from vlmkit.cache import AnswerStore, Holding
from vlmkit.cli.cache_file import CacheFile, default_file
from vlmkit.cli.output import console, print_json, table


@click.group(invoke_without_command=True)
@click.option("--file", type=CacheFile(), metavar="FILE", help="Another cache than the default one.")
@click.pass_context
def cache(context: click.Context, file: Path | None) -> None:
    """Show or empty the answer cache; without a command, show what is in it."""
    context.obj = file or default_file(context)
    if context.invoked_subcommand is None:
        context.invoke(info)


@cache.command()
@click.option("--json", is_flag=True, help="Print JSON.")
@click.pass_obj
def info(file: Path, json: bool = False) -> None:
    """Show how much is in it, by model."""
    holdings = _holdings(file)
    answers, size = sum(holding.answers for holding in holdings), _size(file)
    if json:
        print_json({"path": str(file), "answers": answers, "bytes": size, "models": list(map(_plain, holdings))})
        return
    click.echo(f"{file}: {answers:,} answers, {size:,} bytes")
    if holdings:
        console().print(table(("model", "answers", "bytes", "oldest", "newest"), map(_row, holdings)))


@cache.command()
@click.option("--model", metavar="M", help="Answers of this model only, by the name that info shows.")
@click.option("--older-than", type=click.FloatRange(min=0), default=0.0, metavar="DAYS", help="Answers so old only.")
@click.pass_obj
def clear(file: Path, model: str | None, older_than: float) -> None:
    """Remove answers."""
    removed = 0
    if file.exists():
        with AnswerStore.open(file) as store:
            removed = store.clear(model, older_than=older_than)
    click.echo(f"{removed:,} answers removed from {file}")


@cache.command()
@click.pass_obj
def path(file: Path) -> None:
    """Print where it is."""
    click.echo(file)


def _holdings(file: Path) -> list[Holding]:
    if not file.exists():
        return []
    with AnswerStore.open(file) as store:
        return store.holdings()


def _size(file: Path) -> int:
    """Return the bytes on the disk, with what SQLite has not merged yet."""
    parts = (file, file.with_name(f"{file.name}-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())


def _plain(holding: Holding) -> dict[str, Any]:
    return {
        "model": holding.model,
        "answers": holding.answers,
        "bytes": holding.size,
        "oldest": _day(holding.oldest),
        "newest": _day(holding.newest),
    }


def _row(holding: Holding) -> tuple[str, ...]:
    return holding.model, f"{holding.answers:,}", f"{holding.size:,}", _day(holding.oldest), _day(holding.newest)


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
