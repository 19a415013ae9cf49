"""Ways to predict whole paths, on drawn glyphs with the embedded model: right paths, right leaves, cost.

python benchmarks/paths_table.py --labels 100 --images 100
"""

from __future__ import annotations

import platform
from datetime import date

import click
import torch

from vlmkit import Pipeline
from vlmkit.runs import Record, Tally
from vlmkit_adapters.tiny import tiny
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_hierarchy.grading import of_run
from vlmkit_hierarchy.levels import LevelNames
from vlmkit_hierarchy.summary import Grading
from vlmkit_hierarchy.tables import interval

STRATEGIES = (
    "tree:descend=flat-by-level",
    "tree",
    "tree:descend=beam",
    "tree:descend=full",
    "tree:descend=bottom-up",
    "tree:descend=leaf-conditioned",
)
"""The inner strategy of all of them is ``flat`` unless ``--inner`` says otherwise."""

COLUMNS = ("strategy", "HCA", "leaf accuracy", "queries", "forwards", "tokens")


def row(data: Glyphs, strategy: str) -> tuple[str, ...]:
    """Return one row: figures with 95 % intervals, and cost per image on a model that remembers nothing yet."""
    with Pipeline(tiny("cpu"), strategy) as pipeline:
        records = [Record.of(solved) for solved in pipeline.solve(data, data.labels, taxonomy=data.taxonomy)]
    tally = Tally.of(records)
    if tally.failed:
        raise RuntimeError(next(record.error.message for record in records if record.error))
    metrics = Grading().figures(of_run(records, LevelNames(data.taxonomy)), data.taxonomy)
    return (
        f"`{strategy}`",
        interval(metrics["hca"]),
        interval(metrics["leaf_accuracy"]),
        f"{tally.usage.queries / len(data):.1f}",
        f"{tally.usage.forwards / len(data):.2f}",
        f"{tally.usage.tokens.total / len(data):,.0f}",
    )


@click.command()
@click.option("--labels", default=100, show_default=True, help="Number of labels.")
@click.option("--images", default=100, show_default=True, help="Number of images.")
@click.option("--seed", default=0, show_default=True, help="Seed of labels and pictures.")
@click.option("--inner", default="flat", show_default=True, help="Who answers each choice.")
def main(labels: int, images: int, seed: int, inner: str) -> None:
    """Print the table as Markdown; cost is per image."""
    data = Glyphs(labels=labels, images=images, seed=seed)
    click.echo(f"| {' | '.join(COLUMNS)} |")
    click.echo(f"|---|{'--:|' * (len(COLUMNS) - 1)}")
    for strategy in STRATEGIES:
        click.echo(f"| {' | '.join(row(data, f'{strategy}+{inner}'))} |")
    machine = platform.processor() or platform.machine()
    threads = f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    click.echo(f"\n{labels} labels, {images} images, {date.today()}, {machine}, {threads}")


if __name__ == "__main__":
    main()
