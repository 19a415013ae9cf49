"""The embedded model on questions about several images: before a LoRA, after it, and after one under the mask.

python benchmarks/lora_mimic.py --folder lora-several

Every step is a command of ``vlmkit``, shown as it runs. The LoRAs learn conversations of ``vlmkit mimic train-data``
about one to four images of drawn glyphs, and are judged by questions about pictures that they have not seen.
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

TRAINING, HELD_OUT = 2, 3
"""Seeds of the pictures and questions that the LoRAs learn, and of those that they are judged by."""

TASKS: Mapping[str, tuple[str, int]] = {
    "counting": ("--images 1..4 --total 1..4", 26),
    "listing": ("--images 1..4 --classes 1..3", 24),
    "common": ("--images 2..4", 3),
    "odd-one": ("--images 3,4", 2),
}
"""The controls of the questions that judge, and how many cells they make."""

MASK = "masked:layers=2-3"
"""The deeper half of four layers, as in the paper."""

LORA = "--rank 32 --alpha 32 --dropout 0.05 --weight-decay 0 --learning-rate 2e-3 --batch-size 32 --accumulate 1"
"""Settings for a model of 1.5 million parameters; those of larger models would not move it."""

BATCH = 32
"""Conversations in a step."""


def vlmkit(folder: Path, command: str) -> str:
    """Run a command in a folder, say which and how long it took, and return what it printed."""
    click.echo(f"$ vlmkit {command}", err=True)
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "vlmkit", *shlex.split(command)],
        cwd=folder,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    click.echo(f"{time.monotonic() - started:,.0f} s", err=True)
    return done.stdout


def shown(interval: Mapping[str, float]) -> str:
    """Return a share with its interval."""
    return f"{interval['value']:.0%} ({interval['low']:.0%}-{interval['high']:.0%})"


def judged(folder: Path, model: str, name: str, strategy: str, lora: str = "") -> dict[str, Any]:
    """Return the figures of each task, by the scorer ``strict``."""
    figures = {}
    for task in TASKS:
        output = f"--output runs/{name}-{task} --quiet --json"
        command = f"mimic eval {task}.jsonl --model {model} --device cpu --strategy {strategy} {output}{lora}"
        (report,) = json.loads(vlmkit(folder, command))["figures"].values()
        figures[task] = report["tasks"][task]
    return figures


def row(name: str, figures: Mapping[str, Any], seconds: str) -> Iterator[str]:
    """Yield the cells of a row: F1 of all names for Listing, accuracy for the others."""
    yield name
    for task, found in figures.items():
        yield shown(found["f1_micro" if task == "listing" else "accuracy"])
    yield seconds


def recipe(
    folder: Path, model: str, questions: int, pictures: int, steps: int, seed: int
) -> Iterator[Iterator[str] | tuple[str, ...]]:
    """Make the data, train and judge; yield the rows of the table."""
    for task, (controls, cells) in TASKS.items():
        made = f"--task {task} {controls} --seed {HELD_OUT} --items {max(1, questions // cells)} --json"
        vlmkit(folder, f"mimic build glyphs:pictures=2000,seed={HELD_OUT} --output {task}.jsonl {made}")
    apart = " ".join(f"--apart-from {task}.jsonl" for task in TASKS)
    made = f"--images 1..4 --total 1..4 --seed {TRAINING} --conversations {steps * BATCH} --json"
    vlmkit(folder, f"mimic train-data glyphs:pictures={pictures},seed={TRAINING} --output train.jsonl {apart} {made}")
    before = judged(folder, model, "before", "flat")
    guess = (f"{found['constant']:.0%}" if task != "listing" else "-" for task, found in before.items())
    yield "constant guess", *guess, "-"
    yield row("before", before, "-")
    for name, strategy in (("LoRA", "flat"), ("LoRA + mask", MASK)):
        lora = name.lower().replace(" + ", "-")
        masked = "" if strategy == "flat" else f" --strategy {strategy}"
        data = f"--data train.jsonl --images train --model {model} --output {lora} --device cpu --quiet"
        trained = vlmkit(folder, f"train lora {data} --steps {steps} {LORA} --seed {seed} --json --resume{masked}")
        record = json.loads(trained)
        curve = record["curve"]
        click.echo(f"loss {curve[0]['loss']:.3f} to {curve[-1]['loss']:.3f} nats a token", err=True)
        yield row(name, judged(folder, model, lora, strategy, f" --lora {lora}"), f"{record['seconds']:,.0f}")


@click.command()
@click.option("--model", default="tiny", show_default=True, help="The base model, small enough for a CPU.")
@click.option("--questions", default=200, show_default=True, help="Questions of each task that judge.")
@click.option("--pictures", default=4000, show_default=True, help="Pictures that the LoRAs learn from.")
@click.option("--steps", default=500, show_default=True, help="Steps of each LoRA, of 32 conversations.")
@click.option("--seed", default=0, show_default=True, help="Seed of the trainings.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where everything is kept.  [default: nowhere]")
def main(folder: Path | None, **sizes: Any) -> None:
    """Print the table as Markdown, with 95 % intervals."""
    started = time.monotonic()
    columns = ("", "Counting", "Listing, F1", "Common", "Odd-One", "training, s")
    with TemporaryDirectory() as passing:
        place = folder or Path(passing)
        place.mkdir(parents=True, exist_ok=True)
        click.echo(f"| {' | '.join(columns)} |")
        click.echo(f"|---|{'--:|' * (len(columns) - 1)}")
        for cells in recipe(place.resolve(), **sizes):
            click.echo(f"| {' | '.join(cells)} |")
    machine = platform.processor() or platform.machine()
    threads = f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    click.echo(f"\n{time.monotonic() - started:,.0f} s in all, {date.today()}, {machine}, {threads}")


if __name__ == "__main__":
    main()
