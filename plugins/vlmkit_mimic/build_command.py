"""``vlmkit mimic build``: a benchmark from labelled boxes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from vlmkit.cli.options import CONFIG, SEED
from vlmkit.errors import UserError
from vlmkit_mimic.cells import CLASSES, IMAGES
from vlmkit_mimic.controls import controls, settings
from vlmkit_mimic.made import report


@click.command()
@click.argument("source")
@CONFIG
@click.option("--output", required=True, type=click.Path(path_type=Path), metavar="FILE.jsonl", help="File to write.")
@controls(
    images=f"spread plus distractors, or {','.join(map(str, IMAGES))}",
    spread="several, by task",
    classes=f"{CLASSES['counting']}, for listing {CLASSES['listing']}",
    totals="2,3,4",
)
@click.option("--items", type=click.IntRange(1, 9999), default=50, show_default=True, help="Items of each cell.")
@click.option(
    "--shuffle/--no-shuffle",
    default=True,
    show_default=True,
    help="Images in random order, or those with instances first.",
)
@SEED
@click.option("--json", is_flag=True, help="Print what was made as JSON.")
@click.option("--quiet", is_flag=True, help="No notes; cells that cannot be made still show.")
def build(
    *,
    source: str,
    output: Path,
    json: bool,
    quiet: bool,
    **controlled: Any,
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

    if not output.parent.is_dir():
        raise UserError(f"there is no folder {output.parent}", hint="make it, or give another --output")
    begun = time.perf_counter()
    maker = Maker.of(source, settings(**controlled), output=output)
    read = time.perf_counter()
    header = maker.write(output)
    report(header, output, json=json, quiet=quiet, reading=read - begun, making=time.perf_counter() - read)
