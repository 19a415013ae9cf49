"""``vlmkit mimic train-data``: conversations for fine-tuning from labelled boxes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from vlmkit.cli.options import CONFIG, SEED
from vlmkit.cli.output import note
from vlmkit.errors import UserError
from vlmkit_mimic.controls import controls, settings
from vlmkit_mimic.made import report


@click.command("train-data")
@click.argument("source")
@CONFIG
@click.option("--output", required=True, type=click.Path(path_type=Path), metavar="FILE.jsonl", help="File to write.")
@click.option(
    "--apart-from",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="BENCHMARK.jsonl",
    help="Leave out every picture of this file of mimic build. Repeatable.",
)
@click.option(
    "--pictures",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder for drawn pictures.  [default: beside FILE, with its name]",
)
@click.option(
    "--conversations", type=click.IntRange(min=1), default=10_000, show_default=True, help="How many to make."
)
@controls(
    images="2..10",
    spread="all that fit",
    classes="1, for listing 1..3",
    totals="1..10",
)
@SEED
@click.option("--json", is_flag=True, help="Print what was made as JSON.")
@click.option("--quiet", is_flag=True, help="No notes; cells that cannot be made still show.")
def train_data(
    *,
    source: str,
    output: Path,
    apart_from: tuple[Path, ...],
    pictures: Path | None,
    conversations: int,
    json: bool,
    quiet: bool,
    **controlled: Any,
) -> None:
    """Make conversations about several images from SOURCE, each a question and its right answer, to fine-tune on.

    SOURCE and the controls are those of mimic build. For each conversation a task is drawn, then a number of images,
    and so on: every value is as likely as any other that can be made. vlmkit train lora and other LLaVA-style trainers
    read FILE; how it was made stands beside it in FILE.header.json.
    """
    from vlmkit_mimic.benchmark import Benchmark  # only now: --help stays quick
    from vlmkit_mimic.training import TrainingData

    if not output.parent.is_dir():
        raise UserError(f"there is no folder {output.parent}", hint="make it, or give another --output")
    if output.suffix != ".jsonl":
        raise UserError(f"{output} is no JSONL file by its name", hint="name it FILE.jsonl")
    begun = time.perf_counter()
    data = TrainingData.of(
        source,
        settings(items=conversations, **controlled),
        output=output,
        pictures=pictures,
        apart_from=[Benchmark.read(path) for path in dict.fromkeys(apart_from)],
    )
    read = time.perf_counter()
    header = data.write(output)
    making = time.perf_counter() - read
    report(header, output, what="conversations", json=json, quiet=quiet, reading=read - begun, making=making)
    if not quiet and not json:
        note(f"their pictures: --images {data.files.folder}")
