"""``vlmkit mimic build``: a benchmark from labelled boxes."""

from __future__ import annotations

import time
from pathlib import Path

import click

from vlmkit.cli.options import SEED, config_option
from vlmkit.cli.output import console, note, print_json, table
from vlmkit.errors import UserError
from vlmkit_mimic.benchmark import Header, Settings
from vlmkit_mimic.cells import ANY, CLASSES, IMAGES, TASKS, Sweeps, Task
from vlmkit_mimic.values import Numbers, Pool, Share
from vlmkit_mimic.wording import WORDING, read_wording

REASONS_SHOWN = 12
"""Cells without items that are named on the terminal; all are in the header and in ``--json``."""


@click.command()
@click.argument("source")
@config_option("VLMKIT_MIMIC_BUILD_*")
@click.option("--output", required=True, type=click.Path(path_type=Path), metavar="FILE.jsonl", help="File to write.")
@click.option("--task", "tasks", type=click.Choice(TASKS), multiple=True, help="May be repeated.  [default: all four]")
@click.option(
    "--images",
    type=Numbers(1),
    help=f"Images of an item.  [default: spread plus distractors, or {','.join(map(str, IMAGES))}]",
)
@click.option("--spread", type=Numbers(1), help="Images that show instances.  [default: several, by task]")
@click.option("--distractors", type=Numbers(0), help="Images that show none.  [default: what the spread leaves]")
@click.option(
    "--classes",
    type=Numbers(1),
    help=f"Classes of an answer.  [default: {CLASSES['counting']}, for listing {CLASSES['listing']}]",
)
@click.option(
    "--total",
    "totals",
    type=Numbers(1, any=ANY),
    default="2,3,4",
    show_default=True,
    help="Counting: instances in all images together (balanced), or any: what the pictures show (unbalanced).",
)
@click.option("--items", type=click.IntRange(1, 9999), default=50, show_default=True, help="Items of each cell.")
@click.option(
    "--min-area", type=Share(), default="5%", show_default=True, help="Leave out pictures with a smaller box."
)
@click.option("--pool", type=Pool(), help="Classes to ask about: their names, or a number to draw.  [default: all]")
@click.option(
    "--shuffle/--no-shuffle",
    default=True,
    show_default=True,
    help="Images in random order, or those with instances first.",
)
@click.option("--wording", type=click.Path(path_type=Path), metavar="FILE.json", help="Templates of the questions.")
@SEED
@click.option("--json", is_flag=True, help="Print what was made as JSON.")
@click.option("--quiet", is_flag=True, help="No notes; cells that cannot be made still show.")
def build(
    *,
    source: str,
    output: Path,
    tasks: tuple[Task, ...],
    images: tuple[int, ...] | None,
    spread: tuple[int, ...] | None,
    distractors: tuple[int, ...] | None,
    classes: tuple[int, ...] | None,
    totals: tuple[int, ...],
    items: int,
    min_area: float,
    pool: int | tuple[str, ...] | None,
    shuffle: bool,
    wording: Path | None,
    seed: int,
    json: bool,
    quiet: bool,
) -> None:
    """Make questions over several images from SOURCE, each with one right answer.

    \b
    SOURCE is one of
      coco:annotations=FILE.json,images=DIR
      openimages:classes=FILE.csv,boxes=FILE.csv,images=DIR[,hierarchy=FILE.json]
      glyphs[:pictures=N,objects=N,classes=shape|colour-shape,seed=N]

    Every combination of the controls is a cell. A LIST is numbers joined by commas, or a range such as 1..8. Cells that
    cannot be made are reported with the reason.
    """  # noqa: D301
    from vlmkit_mimic.build import Maker  # only now: --help stays quick

    settings = Settings(
        sweeps=Sweeps(tasks or TASKS, images or (), spread or (), distractors or (), classes or (), totals),
        items=items,
        seed=seed,
        min_area=min_area,
        pool=pool or (),
        shuffle=shuffle,
        wording=WORDING if wording is None else read_wording(wording),
    )
    if not output.parent.is_dir():
        raise UserError(f"there is no folder {output.parent}", hint="make it, or give another --output")
    begun = time.perf_counter()
    maker = Maker.of(source, settings, output=output)
    read = time.perf_counter()
    header = maker.write(output)
    _report(header, output, json=json, quiet=quiet, reading=read - begun, making=time.perf_counter() - read)


def _report(header: Header, output: Path, *, json: bool, quiet: bool, reading: float, making: float) -> None:
    made = sum(plan.items for plan in header.cells)
    lacking = [plan for plan in header.cells if plan.infeasible]
    if json:
        print_json(
            {
                "output": str(output),
                "items": made,
                "seconds": {"reading": reading, "making": making},
                "items_per_second": made / making,
                "pictures": header.pictures,
                "dropped": header.dropped,
                "cells": {plan.key: plan.items for plan in header.cells if not plan.infeasible},
                "infeasible": {plan.key: plan.infeasible for plan in lacking},
            }
        )
        return
    for reason, number in header.dropped.items():
        if not quiet:
            note(f"{number:,} pictures left out: {reason}")
    if not quiet:
        cells = len(header.cells) - len(lacking)
        note(f"{header.pictures:,} pictures read in {reading:.1f} s")
        note(f"{made:,} items in {cells:,} cells made in {making:.1f} s ({made / making:,.0f} a second)")
    if lacking:
        rows = [(plan.key, plan.infeasible) for plan in lacking[:REASONS_SHOWN]]
        console().print(table(("cell without items", "reason"), rows))
        if len(lacking) > REASONS_SHOWN:
            note(f"{len(lacking) - REASONS_SHOWN:,} more cells without items: see the header of {output}, or --json")
