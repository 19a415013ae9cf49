"""The embedded model on questions about several images: before a LoRA, after it, and after one under the mask.

python benchmarks/lora_mimic.py --folder lora-several

Data and LoRAs are made by commands of ``vlmkit``, shown as they run. The embedded model has learned questions about
shapes in one to four images. The LoRAs learn conversations of ``vlmkit mimic train-data`` about colours and shapes
together, such as "red circle", of which it was never asked. They are judged by such questions about images that they
have not seen.
"""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import torch

from vlmkit import Pipeline
from vlmkit.measures import Interval
from vlmkit_mimic.dataset import Mimic
from vlmkit_mimic.figures import Report
from vlmkit_mimic.reading import Vocabulary
from vlmkit_mimic.scorers import strict

TRAINING, HELD_OUT = 2, 3
"""Seeds of the pictures and questions that the LoRAs learn, and of those that they are judged by."""

TASKS: Mapping[str, tuple[str, int]] = {
    "counting": ("--images 2..4 --spread 1,2 --total 1..4", 21),
    "listing": ("--images 2..4 --spread 1,2 --classes 1..3", 18),
    "common": ("--images 2..4", 3),
    "odd-one": ("--images 3,4", 2),
}
"""The controls of the questions that judge, and how many cells they make."""

MASK = "masked:layers=2-3"
"""The deeper half of four layers, as in the paper."""

LORA = "--rank 32 --alpha 32 --dropout 0.05 --weight-decay 0 --learning-rate 1e-3 --batch-size 16 --accumulate 1"
"""Settings for a model of 1.5 million parameters; those of larger models would not move it."""

BATCH = 16
"""Conversations in a step."""


def vlmkit(folder: Path, command: str) -> None:
    """Run a command in a folder, say which and how long it took; what it prints is no part of the table."""
    click.echo(f"$ vlmkit {command}", err=True)
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "vlmkit", *shlex.split(command)], cwd=folder, check=True, stdout=subprocess.DEVNULL
    )
    click.echo(f"{time.monotonic() - started:,.0f} s", err=True)


def judged(folder: Path, model: str, strategy: str, lora: Path | None) -> Report:
    """Put the questions of all tasks to a model and return the figures, by the scorer ``strict``."""
    started = time.monotonic()
    asked = [Mimic(folder / f"{task}.jsonl") for task in TASKS]
    vocabulary = Vocabulary(asked[0].benchmark.header.classes)
    items = (item for data in asked for item in data.benchmark.items)
    with Pipeline(model, strategy, device="cpu", lora=lora) as pipeline:
        solved = pipeline.solve(example for data in asked for example in data)
        scored = []
        for item, one in zip(items, solved, strict=True):
            if one.prediction is None:
                raise one.error
            scored.append((item, strict(item, one.prediction.text, vocabulary)))
    click.echo(f"{len(scored):,} questions asked and judged: {time.monotonic() - started:,.0f} s", err=True)
    return Report.of(scored, ())


def shown(interval: Interval) -> str:
    """Return a share with its interval."""
    return f"{interval.value:.0%} ({interval.low:.0%}-{interval.high:.0%})"


def row(name: str, report: Report, seconds: str) -> tuple[str, ...]:
    """Return the cells of a row: F1 of all names for Listing, accuracy for the others, and the mean of the four."""
    return name, *(shown(figures.main) for figures in report.tasks.values()), shown(report.overall.mean), seconds


def recipe(folder: Path, model: str, questions: int, pictures: int, steps: int, seed: int) -> Iterator[tuple[str, ...]]:
    """Make the data, train and judge; yield the rows of the table."""
    for task, (controls, cells) in TASKS.items():
        made = f"--task {task} {controls} --seed {HELD_OUT} --items {max(1, questions // cells)} --quiet"
        vlmkit(
            folder,
            f"mimic build glyphs:classes=colour-shape,pictures=20000,seed={HELD_OUT} --output {task}.jsonl {made}",
        )
    apart = " ".join(f"--apart-from {task}.jsonl" for task in TASKS)
    made = f"--images 2..4 --total 1..4 --seed {TRAINING} --conversations {steps * BATCH} --quiet"
    source = f"glyphs:classes=colour-shape,pictures={pictures},seed={TRAINING}"
    vlmkit(folder, f"mimic train-data {source} --output train.jsonl {apart} {made}")
    before = judged(folder, model, "flat", None)
    guesses = (f"{figures.constant:.0%}" if task != "listing" else "-" for task, figures in before.tasks.items())
    yield "constant guess", *guesses, "-", "-"
    yield row("before", before, "-")
    for name, output, strategy in (("LoRA", "lora", "flat"), ("LoRA + mask", "lora-mask", MASK)):
        data = f"--data train.jsonl --images train --model {model} --output {output} --device cpu"
        masked = "" if strategy == "flat" else f" --strategy {strategy}"
        vlmkit(folder, f"train lora {data} --steps {steps} {LORA} --seed {seed} --resume{masked}")
        record = json.loads((folder / output / "training.json").read_bytes())
        yield row(name, judged(folder, model, strategy, folder / output), f"{record['seconds']:,.0f}")


@click.command()
@click.option("--model", default="tiny", show_default=True, help="The base model, small enough for a CPU.")
@click.option("--questions", default=180, show_default=True, help="Questions of each task that judge.")
@click.option("--pictures", default=20000, show_default=True, help="Pictures that the LoRAs learn from.")
@click.option("--steps", default=400, show_default=True, help="Steps of each LoRA, of 16 conversations.")
@click.option("--seed", default=0, show_default=True, help="Seed of the trainings.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where everything is kept.  [default: nowhere]")
def main(folder: Path | None, model: str, **sizes: Any) -> None:
    """Print the table as Markdown, with 95 % intervals."""
    started = time.monotonic()
    columns = ("", "Counting", "Listing, F1", "Common", "Odd-One", "mean", "training, s")
    with TemporaryDirectory() as passing:
        place = folder or Path(passing)
        place.mkdir(parents=True, exist_ok=True)
        click.echo(f"| {' | '.join(columns)} |")
        click.echo(f"|---|{'--:|' * (len(columns) - 1)}")
        base = str(Path(model).resolve()) if Path(model).is_dir() else model
        for cells in recipe(place.resolve(), base, **sizes):
            click.echo(f"| {' | '.join(cells)} |")
    machine = platform.processor() or platform.machine()
    threads = f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    click.echo(f"\n{time.monotonic() - started:,.0f} s in all, {date.today()}, {machine}, {threads}")


if __name__ == "__main__":
    main()
