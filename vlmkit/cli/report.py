"""``vlmkit report``: runs as a page, as Markdown, or as a table of examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlmkit.cli.completion import run_paths
from vlmkit.cli.main import session
from vlmkit.cli.output import note, warning
from vlmkit.errors import UserError

if TYPE_CHECKING:
    from vlmkit.report import Subject

STDOUT = Path("-")


class MostType(click.ParamType[int]):
    """Reads a number of examples; ``none`` is 0."""

    name = "N or none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number that the text means."""
        if str(value).lower() == "none":
            return 0
        if not str(value).isdecimal():
            self.fail(f"{value!r} is neither a number of examples nor none", param, ctx)
        return int(value)


@click.command()
@click.argument(
    "runs", nargs=-1, required=True, shell_complete=run_paths, type=click.Path(path_type=Path), metavar="RUN..."
)
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="[default: report.FORMAT]; - is stdout."
)
@click.option(
    "--format",
    "name",
    envvar="VLMKIT_REPORT_FORMAT",
    type=click.Choice(["html", "md", "csv", "parquet"]),
    help="[default: by the file, else html]",
)
@click.option("--title", help="Heading of the page.")
@click.option("--data", metavar="DATA", help="Where the pictures are now, if not where the runs found them.")
@click.option("--thumbnails", type=MostType(), default="1000", show_default=True, help="Most examples with pictures.")
@click.option(
    "--thumbnail-size",
    type=click.IntRange(16, 1024),
    default=128,
    show_default=True,
    metavar="PX",
    help="Longest side of a picture.",
)
@click.option(
    "--brackets",
    type=MostType(),
    default="500",
    show_default=True,
    help="Most examples of a run with all their questions.",
)
@click.option("--force", is_flag=True, help="Overwrite a file that is no report.")
@click.pass_context
def report(
    context: click.Context,
    *,
    runs: Sequence[Path],
    output: Path | None,
    name: str | None,
    title: str | None,
    data: str | None,
    thumbnails: int,
    thumbnail_size: int,
    brackets: int,
    force: bool,
) -> None:
    """Write a report about one run, or several side by side.

    RUN is a run directory; a run that is at work is reported as far as it is. The page is one file that needs no
    network. Markdown has the figures, CSV and Parquet one row for each example.
    """
    # jinja2 and numpy, only now: --help stays quick.
    from vlmkit.registry import Builder
    from vlmkit.report import Output, Report, Thumbnails, format_of, read_subjects

    form = format_of(name, output)
    form.check()
    if output == STDOUT and not form.text:
        raise UserError(f"{form.name} is not written to stdout", hint="name a file with --output")
    target = None if output == STDOUT else Output.checked(output or Path(f"report.{form.name}"), form, force=force)
    subjects = read_subjects(runs)
    builder = Builder(session(context).plugins.registry)
    pictures = Thumbnails(builder, most=thumbnails, size=thumbnail_size, data=data, warn=warning)
    content = form.render(Report(title or _title(subjects), subjects, pictures, brackets))
    if target is None:
        click.echo(content, nl=False)
    else:
        target.write(content)
        note(f"{target.path}: {len(subjects)} run{'s' if len(subjects) > 1 else ''}, {len(content) / 1e6:,.2f} MB")
    for subject in subjects:
        if not subject.finished:
            warning(f"run {subject.stored.path} is {subject.status}: {subject.progress}")


def _title(subjects: Sequence[Subject]) -> str:
    if len(subjects) == 1:
        return f"{subjects[0].name} on {subjects[0].data}"
    models = {subject.facts["model"] for subject in subjects}
    return f"{len(subjects)} runs" + (f" of {models.pop()}" if len(models) == 1 else "")
