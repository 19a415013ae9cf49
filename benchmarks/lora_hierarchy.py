"""HCA of an under-trained embedded model before and after a LoRA on a question bank of glyphs.

python benchmarks/lora_hierarchy.py --folder lora-recipe

Every step is a command of ``vlmkit``, shown as it runs. The base model is the recipe of ``tiny`` with few steps and
short lists. The pictures and questions of the test are others than those that the LoRA learns from.
"""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import torch

from vlmkit_hierarchy.tables import interval

COLUMNS = ("", "image HCA", "image POR", "text HCA", "text POR")

BASE = "--max-options 4 --images-per-leaf 10"
"""What makes the base model's training short, besides few steps."""

LORA = "--rank 32 --alpha 32 --dropout 0.05 --weight-decay 0 --learning-rate 3e-3 --batch-size 32 --accumulate 1"
"""Settings for a model of 1.4 million parameters; those of larger models would not move it."""

TRAINING, TEST = 1, 2
"""Seeds of the pictures and questions that the LoRA learns, and of those that it is judged by."""


def vlmkit(folder: Path, command: str, *more: str) -> str:
    """Run a command in a folder, say which and how long it took, and return what it printed."""
    arguments = [*shlex.split(command), *more]
    click.echo(f"$ vlmkit {shlex.join(arguments)}", err=True)
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "vlmkit", *arguments], cwd=folder, check=True, stdout=subprocess.PIPE, text=True
    )
    click.echo(f"{time.monotonic() - started:,.0f} s", err=True)
    return done.stdout


def judged(folder: Path, *more: str) -> Iterator[str]:
    """Yield the figures of a row: HCA and POR with the image, then with the leaf's name in its place."""
    for mode in ("image", "text"):
        asked = f"hierarchy eval test.jsonl --model base --device cpu --mode {mode} --readout likelihood --quiet --json"
        metrics: dict[str, Any] = json.loads(vlmkit(folder, asked, *more))["metrics"]
        yield interval(metrics["hca"])
        yield interval(metrics["por"])


def recipe(folder: Path, base_steps: int, images: int, test_images: int, steps: int) -> Iterator[tuple[str, ...]]:
    """Train the base model and its LoRA; yield the rows of the table."""
    vlmkit(folder, f"glyphs train --output base --device cpu --steps {base_steps} {BASE}")
    for name, count, seed in (("training", images, TRAINING), ("test", test_images, TEST)):
        data = f"glyphs:labels=1000,images={count},seed={seed}"
        vlmkit(folder, f"hierarchy questions {data} --seed {seed} --output {name}.jsonl")
    vlmkit(folder, "hierarchy sft-data training.jsonl --output conversations.jsonl --readout likelihood")
    yield "before", *judged(folder)
    data = "--data conversations.jsonl --model base --output lora --device cpu"
    vlmkit(folder, f"train lora {data} --steps {steps} {LORA} --resume")
    yield "after", *judged(folder, "--lora", "lora")


@click.command()
@click.option("--base-steps", default=300, show_default=True, help="Steps of the base model.")
@click.option("--images", default=600, show_default=True, help="Images that the LoRA learns from.")
@click.option("--test-images", default=400, show_default=True, help="Images that it is judged by.")
@click.option("--steps", default=500, show_default=True, help="Steps of the LoRA.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where everything is kept.  [default: nowhere]")
def main(folder: Path | None, **sizes: int) -> None:
    """Print the table as Markdown, with 95 % intervals."""
    started = time.monotonic()
    with TemporaryDirectory() as passing:
        place = folder or Path(passing)
        place.mkdir(parents=True, exist_ok=True)
        click.echo(f"| {' | '.join(COLUMNS)} |")
        click.echo(f"|---|{'--:|' * (len(COLUMNS) - 1)}")
        for row in recipe(place.resolve(), **sizes):
            click.echo(f"| {' | '.join(row)} |")
    machine = platform.processor() or platform.machine()
    threads = f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    click.echo(f"\n{time.monotonic() - started:,.0f} s in all, {date.today()}, {machine}, {threads}")


if __name__ == "__main__":
    main()
