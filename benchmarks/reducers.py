"""What fewer visual tokens save: tokens, FLOPs and seconds of one strategy under each reducer.

    python benchmarks/reducers.py --model random:qwen3-vl-100m --images 4

Every example shows several images and asks one question. The ways take turns, example by example, so that a machine
that slows down slows all. No reducer saves anything in the vision tower: images are encoded beforehand, nothing here
counts that. Seconds include the reducer's own work; FLOPs of a pass that ends early count its last layer whole.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch
from attrs import asdict, define, evolve, frozen

from vlmkit import Backend, Engine, Example, LabelSpace
from vlmkit.bench.machine import Machine
from vlmkit.bench.meters import TreeMeter
from vlmkit.engine.models import build_backend
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing.located import located
from vlmkit.tokentree import TokenTreeBackend
from vlmkit.tokentree.work import shapes
from vlmkit_glyphs.dataset import Glyphs

ENCODING = "pooled:factor=1+flat"
"""Encodes an example's images, and leaves a trunk that none of the ways uses."""

WAYS = (
    "flat",
    "pooled:factor=2+flat",
    "pooled:factor=4+flat",
    "pooled:factor=8+flat",
    "fastv:keep=0.5,layer=2+flat",
    "fastv:keep=0.25,layer=2+flat",
    "visionzip+flat",
)
"""The strategies that are compared by default; the first is what the others are held against."""


@define
class Tally:
    """What one way came to.

    Args:
        tokens: Tokens through all layers of the language model.
        flops: FLOPs of the language model.
        seconds: From the images' features to the answer.
    """

    tokens: int = 0
    flops: int = 0
    seconds: float = 0.0


@frozen
class Contest:
    """One loaded model that solves examples in several ways.

    Args:
        meter: Watches the model.
        builder: Builds strategies.
        labels: What may be answered.
    """

    meter: TreeMeter
    builder: Builder
    labels: LabelSpace

    @classmethod
    def of(cls, backend: Backend, machine: Machine, builder: Builder, labels: LabelSpace) -> Contest:
        """Load a model. It forgets every trunk when it makes another one, but no visual features."""
        assert isinstance(backend, TokenTreeBackend)
        forgetful = evolve(backend, limits=evolve(backend.limits, trunk_bytes=1))
        return cls(TreeMeter.of(forgetful, machine), builder, labels)

    def solve(self, way: str, example: Example) -> Tally:
        """Solve one example and return what it cost."""
        work = self.meter.work
        work.reset()
        engine = Engine(self.builder.strategy(way), self.meter.backend)
        started = time.perf_counter()
        (solved,) = engine.solve([example], self.labels)
        took = time.perf_counter() - started
        if solved.error is not None:
            raise solved.error
        text, vision = shapes(self.meter.family.model.config)
        assert text is not None and vision is not None
        return Tally(work.tokens, work.flops(text, vision)[0], took)


def measure(
    model: str, ways: Sequence[str], *, images: int, labels: int, examples: int, device: str, dtype: str
) -> dict[str, Tally]:
    """Return what each way came to; the first example warms up and does not count."""
    builder = Builder(PluginHost.load().registry)
    data = Glyphs(labels=labels, images=images * (examples + 1))
    pictures = [source for example in data for source in example.images]
    tallies = {way: Tally() for way in ways}
    with TemporaryDirectory() as folder:
        backend = build_backend(located(model, builder, Path(folder)).model, builder, device=device, dtype=dtype)
        contest = Contest.of(backend, Machine(torch.device(device), getattr(torch, dtype)), builder, data.labels)
        for number in range(examples + 1):
            example = Example(id=str(number), images=pictures[number * images : (number + 1) * images])
            contest.solve(ENCODING, example)
            for way, tally in tallies.items():
                one = contest.solve(way, example)
                if number:
                    tally.tokens += one.tokens
                    tally.flops += one.flops
                    tally.seconds += one.seconds
    return tallies


def report(tallies: Mapping[str, Tally], examples: int) -> str:
    """Return the tallies as a table, per example."""
    first = next(iter(tallies.values()))
    lines = [f"{'':30} {'tokens':>7} {'GFLOPs':>9} {'fewer':>7} {'seconds':>9} {'faster':>7}"]
    for way, one in tallies.items():
        lines.append(
            f"{way:30} {one.tokens / examples:7.0f} {one.flops / examples / 1e9:9.1f} {first.flops / one.flops:6.2f}x "
            f"{one.seconds / examples:9.3f} {first.seconds / one.seconds:6.2f}x"
        )
    return "\n".join(lines)


@click.command()
@click.option("--model", default="random:qwen3-vl-100m", show_default=True, help="As for vlmkit bench.")
@click.option("--way", "ways", multiple=True, default=WAYS, help="A strategy; the first is the yardstick.")
@click.option("--images", default=4, show_default=True, help="Images of an example.")
@click.option("--labels", default=20, show_default=True, help="Labels of the question.")
@click.option("--examples", default=2, show_default=True, help="Examples timed, after one for warm-up.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--dtype", default="float32", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(
    model: str, ways: tuple[str, ...], images: int, labels: int, examples: int, device: str, dtype: str, as_json: bool
) -> None:
    """Time one question about several images with and without reducers."""
    asked = {"images": images, "labels": labels, "examples": examples, "device": device, "dtype": dtype}
    tallies = measure(model, ways, **asked)
    if as_json:
        click.echo(json.dumps({"model": model, **asked, "ways": {way: asdict(one) for way, one in tallies.items()}}))
        return
    click.echo(f"{model}, {images} images, {labels} labels, {dtype}, {device}, {torch.get_num_threads()} threads")
    click.echo(report(tallies, examples))


if __name__ == "__main__":
    main()
