"""Time and memory of a question bank of a million questions, over a made-up taxonomy of 4,800 leaves.

python benchmarks/question_bank.py
"""

from __future__ import annotations

import json as json_module
import platform
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from itertools import product
from pathlib import Path

import click

from vlmkit import Example, Taxonomy
from vlmkit_hierarchy.distractors import Places
from vlmkit_hierarchy.generate import Written, write_bank
from vlmkit_hierarchy.levels import LevelNames
from vlmkit_hierarchy.sources import by_chance

BRANCHES = (5, 3, 4, 4, 4, 5)
"""Children of a node, level by level."""


def taxonomy() -> Taxonomy:
    """Return a tree with names as long as those of animals."""
    turns = product(*map(range, BRANCHES))
    return Taxonomy([f"taxon {'-'.join(map(str, path[:depth]))}" for depth in range(1, 7)] for path in turns)


def write(places: Places, kind: str, questions: int, path: Path) -> Written:
    """Write a bank of at least so many questions."""
    labels = places.names.taxonomy.labels.names
    images = -(-questions // len(BRANCHES))

    def examples() -> Iterator[Example]:
        return (Example(f"images/{index:07d}.jpg", (), labels[index % len(labels)]) for index in range(images))

    rng = random.Random(0)
    return write_bank(path, by_chance(kind, examples(), places, rng), places, data="made up", seed=0, rng=rng)


def peak_mib() -> float:
    """Return the most memory that this process ever held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@click.command()
@click.option("--questions", default=1_000_000, show_default=True, help="Questions to write, at least.")
@click.option("--distractors", type=click.Choice(["random", "sibling"]), default="random", show_default=True)
@click.option("--json", is_flag=True, help="Print the figures as JSON.")
def main(questions: int, distractors: str, json: bool) -> None:
    """Write a small bank and then a large one; print seconds, and what the large one took beyond the small one."""
    places = Places(LevelNames(taxonomy()))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "bank.jsonl"
        write(places, distractors, min(questions, 20_000), path)
        before = peak_mib()
        started, worked = time.perf_counter(), time.process_time()
        written = write(places, distractors, questions, path)
        seconds, processor = time.perf_counter() - started, time.process_time() - worked
        size = path.stat().st_size / 2**20
    figures = {
        "questions": written.questions,
        "leaves": len(places.names.taxonomy.paths),
        "seconds": round(seconds, 1),
        "processor_seconds": round(processor, 1),
        "peak_mib": round(peak_mib(), 1),
        "further_mib": round(peak_mib() - before, 1),
        "file_mib": round(size, 1),
    }
    if json:
        click.echo(json_module.dumps(figures))
        return
    click.echo(f"{written.questions:,} questions, {distractors} distractors, {figures['leaves']:,} leaves")
    click.echo(f"{seconds:.1f} s, of which {processor:.1f} s of processor time; file {figures['file_mib']} MiB")
    few = f"{min(questions, 20_000):,} questions"
    click.echo(f"peak memory {figures['peak_mib']} MiB, {figures['further_mib']} MiB more than for {few}")
    click.echo(f"{date.today()}, {platform.processor() or platform.machine()}")


if __name__ == "__main__":
    main()
