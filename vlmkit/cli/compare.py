"""``vlmkit compare``: runs over the same examples, held against each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from vlmkit.cli.completion import run_paths
from vlmkit.cli.output import console, note, print_json, show, table, warning, write_text


@click.command()
@click.argument(
    "runs", nargs=-1, required=True, shell_complete=run_paths, type=click.Path(path_type=Path), metavar="RUN RUN..."
)
@click.option(
    "--baseline", type=click.Path(path_type=Path), metavar="RUN", help="Hold all others against this run alone."
)
@click.option("--common", is_flag=True, help="Leave out examples that only some of the runs have.")
@click.option("--json", is_flag=True, help="Print JSON.")
@click.option("--markdown", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write a page, too.")
def compare(*, runs: Sequence[Path], baseline: Path | None, common: bool, json: bool, markdown: Path | None) -> None:
    """Compare runs over the same examples and labels.

    RUN is a run directory. Shown are what sets the runs apart, the figures of each, and for every two of them whether
    one is right more often than the other: the difference with its interval, p values, and the number of examples that
    would settle it. Needs pip install 'vlmkit[stats]'.
    """
    # Only now: --help stays quick.
    from vlmkit.cli.compare_report import calibration_lines, footnotes, page, pair_lines, run_lines
    from vlmkit.comparison import Comparison
    from vlmkit.runs import to_json

    found = Comparison.read(runs, baseline=baseline, common=common)
    for one in found.runs:
        if one.status != "success":
            warning(f"{one.directory} is {one.status}: it may lack examples")
    if markdown is not None:
        write_text(markdown, page(found))
        note(f"written: {markdown}")
    if json:
        print_json(to_json(found))
        return
    screen = console()
    for lines in (run_lines(found), calibration_lines(found), pair_lines(found)):
        if lines:
            head, *rows = lines
            screen.print(table(head, rows))
    for line in footnotes(found):
        show(line)
