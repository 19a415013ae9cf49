"""Two Ray workers against one, and what Ray adds to each example.

    python benchmarks/ray_scaling.py

All in one run, on a Ray cluster that is started for it: so a busy machine slows every side. Rates count from the first
block of results on; starting Ray and the workers, printed apart, is paid once a run.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from datetime import date

import click
from attrs import frozen

from vlmkit import Pipeline
from vlmkit.engine import LocalEngine, RunEngine, Solved
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_ray.cluster import connected
from vlmkit_ray.engine import RayEngine


@frozen
class Timed:
    """One side.

    Args:
        start: Seconds to the first result.
        rate: Examples a second from then on.
    """

    start: float
    rate: float

    @classmethod
    def of(cls, solve: Callable[[], Iterator[Solved]], block: int) -> Timed:
        """Time a side; the first ``block`` results come together, and are what the clock starts after."""
        began = time.perf_counter()
        for number, _ in enumerate(solve(), start=1):
            if number == block:
                first = time.perf_counter()
        return cls(first - began, (number - block) / (time.perf_counter() - first))


@click.command()
@click.option("--model", default="scripted:latency=0.2", show_default=True, help="What answers; its wait is no work.")
@click.option("--strategy", default="dci:group_size=20", show_default=True)
@click.option("--images", default=640, show_default=True)
@click.option("--block", default=16, show_default=True, help="Examples that a worker is handed at once.")
@click.option("--overhead-images", default=2000, show_default=True, help="Images of the overhead, without any wait.")
def main(model: str, strategy: str, images: int, block: int, overhead_images: int) -> None:
    """Print both as a Markdown table."""
    if min(images, overhead_images) <= block:
        raise click.UsageError("rates count behind the first block: give more images than --block")

    def timed(engine: RunEngine, model: str, images: int) -> Timed:
        data = Glyphs(labels=100, images=images)
        examples = list(data)  # drawing is no part of it
        with Pipeline(model, strategy, in_flight=block) as pipeline:
            return Timed.of(lambda: engine.solve(pipeline, examples, data.labels), block)

    def cluster(workers: int) -> RayEngine:
        return RayEngine(workers=workers, block=block)

    with connected(None):
        one, two = timed(cluster(1), model, images), timed(cluster(2), model, images)
        bare, local = timed(cluster(1), "scripted", overhead_images), timed(LocalEngine(), "scripted", overhead_images)
    cores = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    click.echo(f"{date.today()}, {cores}; {model}, {strategy}, {images} images, blocks of {block}\n")
    click.echo("| | value |\n|---|--:|")
    for name, value in (
        ("one worker, images a second", f"{one.rate:.1f}"),
        ("two workers, images a second", f"{two.rate:.1f}"),
        ("two against one", f"{two.rate / one.rate:.2f}"),
        ("seconds to the first results, one worker", f"{one.start:.1f}"),
        ("milliseconds an example, local engine, scripted model", f"{1000 / local.rate:.2f}"),
        ("milliseconds an example, one Ray worker, scripted model", f"{1000 / bare.rate:.2f}"),
        ("milliseconds an example that Ray adds", f"{1000 / bare.rate - 1000 / local.rate:.2f}"),
    ):
        click.echo(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
