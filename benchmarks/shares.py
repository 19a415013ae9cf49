"""Where the time of packed forwards goes: seconds an image, by what is computed.

    python benchmarks/shares.py --threads 2

A random model answers about glyphs by DCI on a CPU, its parts timed by hooks. Beside it stands the rate of one large
matrix product in the same run, which is what linear layers could reach at best.
"""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import torch
from attrs import evolve, field, frozen

from vlmkit import Pipeline
from vlmkit.bench.machine import Machine
from vlmkit.engine.models import build_backend
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing.located import resolved
from vlmkit.tokentree.attention import ATTENTION, register_attention, tree_attention
from vlmkit_glyphs.dataset import Glyphs


@frozen
class Clock:
    """Adds up the seconds of parts; none may contain another."""

    spent: Counter[str] = field(factory=Counter)

    def watch(self, module: torch.nn.Module, part: str) -> None:
        """Time a module from now on."""

        def begin(*_: Any) -> None:
            self.spent[part] -= time.perf_counter()

        def end(*_: Any) -> None:
            self.spent[part] += time.perf_counter()

        module.register_forward_pre_hook(begin)
        module.register_forward_hook(end)

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that is timed."""

        def call(*arguments: Any, **options: Any) -> Any:
            self.spent[part] -= time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.spent[part] += time.perf_counter()

        return call


@click.command()
@click.option("--model", default="random:qwen3-vl-100m", show_default=True)
@click.option("--strategy", default="dci:group_size=20,readout=letter", show_default=True)
@click.option("--dtype", default="bfloat16", show_default=True)
@click.option("--labels", default=1000, show_default=True)
@click.option("--images", default=8, show_default=True)
@click.option("--in-flight", default=2, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=torch.get_num_threads, help="By default one for each core.")
def main(model: str, strategy: str, dtype: str, labels: int, images: int, in_flight: int, threads: int) -> None:
    """Print the shares as a Markdown table."""
    from transformers import AttentionInterface

    torch.set_num_threads(threads)
    clock, builder = Clock(), Builder(PluginHost.load().registry)
    data = Glyphs(labels=labels, images=in_flight + images)
    examples = [evolve(one, images=(one.images[0].resize((512, 512)),)) for one in data]
    with TemporaryDirectory() as folder:
        found = resolved(model, builder, Path(folder), words=data.labels.names)
        backend = build_backend(found.model, builder, device="cpu", dtype=dtype)
        family = backend.load()
        clock.watch(family.vision_tower, "vision tower")
        for layer in family.layers:
            for module in layer.modules():
                if isinstance(module, torch.nn.Linear):
                    clock.watch(module, "linear layers")
                elif type(module).__name__.endswith("RMSNorm"):
                    clock.watch(module, "norms")
        AttentionInterface.register(ATTENTION, clock.timed("attention", tree_attention))
        with Pipeline(evolve(backend, load=lambda: family), strategy, in_flight=in_flight) as pipeline:
            list(pipeline.solve(examples[:in_flight], data.labels))  # the first ones warm up
            clock.spent.clear()
            started = time.perf_counter()
            list(pipeline.solve(examples[in_flight:], data.labels))
            whole = time.perf_counter() - started
    register_attention()
    machine = Machine(torch.device("cpu"), getattr(torch, dtype))
    rest = {"all else: rotary positions, activations, sums, scores, host": whole - clock.spent.total()}
    click.echo(f"{date.today()}, {platform.machine()}, {threads} threads, torch {torch.__version__}")
    peak = f"{machine.peak_flops() / 1e9:,.0f} GFLOP/s"
    click.echo(f"{model} in {dtype}, {strategy}, {labels:,} labels, {images} images; one large product: {peak}\n")
    click.echo("| | seconds an image | share |\n|---|--:|--:|")
    for part, spent in [*clock.spent.most_common(), *rest.items(), ("all", whole)]:
        click.echo(f"| {part} | {spent / images:.2f} | {spent / whole:.0%} |")


if __name__ == "__main__":
    main()
