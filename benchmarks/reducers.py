"""What fewer visual tokens save: tokens, FLOPs and seconds of one strategy under each reducer.

    python benchmarks/reducers.py --model random:qwen3-vl-100m --images 8

Every example shows several images and asks one question. The ways take turns, example by example, so that a machine
that slows down slows all. No reducer saves anything in the vision tower, so its seconds and FLOPs stand apart. Seconds
of the language model include the reducer's own work; FLOPs of a pass that ends early count its last layer whole.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import torch
from attrs import define, evolve, field, frozen

from vlmkit import Engine, Example
from vlmkit.bench.machine import Machine
from vlmkit.bench.watch import TimedWork, Watched
from vlmkit.engine.models import build_backend
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing.located import located
from vlmkit.tokentree import Features, Picture, TokenTreeBackend
from vlmkit.tokentree.work import shapes
from vlmkit_glyphs.dataset import Glyphs

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


class Split(Watched):
    """A watched family that times its vision tower by itself."""

    vision = 0.0

    def encode(self, pictures: Sequence[Picture]) -> Sequence[Features]:
        """Run the vision tower."""
        before = self._work.seconds
        features = super().encode(pictures)
        self.vision += self._work.seconds - before
        return features


@define
class Tally:
    """What one way came to.

    Args:
        tokens: Tokens through all layers of the language model.
        text_flops: FLOPs of the language model.
        vision_flops: FLOPs of the vision tower.
        text: Seconds in all but the vision tower.
        vision: Seconds in the vision tower.
        choices: What was answered.
    """

    tokens: int = 0
    text_flops: int = 0
    vision_flops: int = 0
    text: float = 0.0
    vision: float = 0.0
    choices: list[str | None] = field(factory=list)


@frozen
class Contest:
    """One loaded model that solves examples in several ways.

    Args:
        backend: Answers, through ``family``; forgets all images between two ways.
        family: The watched model.
        work: What ``family`` notes.
        builder: Builds strategies.
    """

    backend: TokenTreeBackend
    family: Split
    work: TimedWork
    builder: Builder

    @classmethod
    def of(cls, model: str, device: str, dtype: str, builder: Builder) -> Contest:
        """Load a model."""
        backend = build_backend(model, builder, device=device, dtype=dtype)
        assert isinstance(backend, TokenTreeBackend)
        work = TimedWork()
        family = Split(backend.load(), work, Machine(torch.device(device), getattr(torch, dtype)))
        return cls(evolve(backend, load=lambda: family), family, work, builder)

    def solve(self, way: str, example: Example, labels: Any, tally: Tally) -> None:
        """Solve one example from nothing and add to the tally."""
        self.backend.close()
        self.work.reset()
        self.family.vision = 0.0
        engine = Engine(self.builder.strategy(way), self.backend)
        started = time.perf_counter()
        (solved,) = engine.solve([example], labels)
        took = time.perf_counter() - started
        if solved.error is not None:
            raise solved.error
        text, vision = shapes(self.family.model.config)
        if text is not None and vision is not None:
            done, seen = self.work.flops(text, vision)
            tally.text_flops += done
            tally.vision_flops += seen
        tally.tokens += self.work.tokens
        tally.vision += self.family.vision
        tally.text += took - self.family.vision
        tally.choices.append(solved.prediction.label)


def measure(
    model: str, ways: Sequence[str], *, images: int, labels: int, examples: int, device: str, dtype: str
) -> dict[str, Tally]:
    """Return what each way came to; the first example warms up and does not count."""
    builder = Builder(PluginHost.load().registry)
    data = Glyphs(labels=labels, images=images * (examples + 1))
    pictures = [source for example in data for source in example.images]
    tallies = {way: Tally() for way in ways}
    with TemporaryDirectory() as folder:
        contest = Contest.of(located(model, builder, Path(folder)).model, device, dtype, builder)
        for number in range(examples + 1):
            shown = pictures[number * images : (number + 1) * images]
            for way in ways:
                tally = tallies[way] if number else Tally()
                contest.solve(way, Example(id=str(number), images=shown), data.labels, tally)
    return tallies


def report(tallies: dict[str, Tally], examples: int) -> str:
    """Return the tallies as a table, per example."""
    lines = [f"{'':30} {'tokens':>7} {'GFLOPs':>9} {'seconds':>9} {'times':>7}   {'vision':>7} {'vision':>8}"]
    lines += [f"{'':30} {'':>7} {'(text)':>9} {'(text)':>9} {'faster':>7}   {'GFLOPs':>7} {'seconds':>8}"]
    first = next(iter(tallies.values()))
    for way, one in tallies.items():
        lines.append(
            f"{way:30} {one.tokens / examples:7.0f} {one.text_flops / examples / 1e9:9.1f} {one.text / examples:9.3f} "
            f"{first.text / one.text:6.2f}x   {one.vision_flops / examples / 1e9:7.1f} {one.vision / examples:8.3f}"
        )
    return "\n".join(lines)


@click.command()
@click.option("--model", default="random:qwen3-vl-100m", show_default=True, help="As for vlmkit bench.")
@click.option("--way", "ways", multiple=True, default=WAYS, help="A strategy; the first is the yardstick.")
@click.option("--images", default=8, show_default=True, help="Images of an example.")
@click.option("--labels", default=20, show_default=True, help="Labels of the question.")
@click.option("--examples", default=3, show_default=True, help="Examples timed, after one for warm-up.")
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
        click.echo(json.dumps({"model": model, **asked, "ways": {way: vars_of(one) for way, one in tallies.items()}}))
        return
    click.echo(f"{model}, {images} images, {labels} labels, {dtype}, {device}, {torch.get_num_threads()} threads")
    click.echo(report(tallies, examples))


def vars_of(tally: Tally) -> dict[str, Any]:
    """Return a tally's figures by name."""
    return {name: getattr(tally, name) for name in ("tokens", "text_flops", "vision_flops", "text", "vision")}


if __name__ == "__main__":
    main()
