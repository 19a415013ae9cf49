"""Accuracy of the embedded model over the number of labels, flat against DCI: the table of its model card.

python benchmarks/tiny_curve.py --images 100
"""

from __future__ import annotations

import platform
from datetime import date
from pathlib import Path

import click
import torch

from vlmkit import Pipeline
from vlmkit.measures import Interval, wilson
from vlmkit_adapters.qwen import qwen
from vlmkit_adapters.tiny import CHECKPOINT
from vlmkit_glyphs.dataset import Glyphs

STRATEGIES = ("flat", "dci:group_size=20", "dci:policy=paper,group_size=20")


def accuracy(pipeline: Pipeline, labels: int, images: int) -> Interval:
    """Return top-1 accuracy on pictures that training never saw."""
    data = Glyphs(labels=labels, images=images)
    solved = list(pipeline.solve(data, data.labels))
    for one in solved:
        if one.error is not None:
            raise one.error
    interval = wilson(sum(one.prediction.label == one.example.target for one in solved), images)
    assert interval is not None
    return interval


@click.command()
@click.option("--model", type=click.Path(path_type=Path), default=CHECKPOINT, help="Model directory.")
@click.option("--images", default=100, show_default=True, help="Images for each cell.")
@click.option("--labels", default="10,20,50,100,200,500,1000", show_default=True, help="Numbers of labels.")
def main(model: Path, images: int, labels: str) -> None:
    """Print accuracy with 95 % intervals as a Markdown table."""
    sizes = [int(size) for size in labels.split(",")]
    backend = qwen(str(model))
    click.echo(f"| labels | {' | '.join(f'{size:,}' for size in sizes)} |")
    click.echo(f"|---|{'--:|' * len(sizes)}")
    for strategy in STRATEGIES:
        pipeline = Pipeline(backend, strategy)
        cells = [accuracy(pipeline, size, images) for size in sizes]
        texts = [f"{cell.value:.0%} ({cell.low:.0%}-{cell.high:.0%})" for cell in cells]
        click.echo(f"| `{strategy}` | {' | '.join(texts)} |")
    machine = platform.processor() or platform.machine()
    threads = f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    click.echo(f"\n{images} images a cell, {date.today()}, {machine}, {threads}")


if __name__ == "__main__":
    main()
