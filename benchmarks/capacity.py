"""GPU-hours and money on paper: two workloads, each strategy, and what would hold the machines up.

    python benchmarks/capacity.py --plot capacity.svg

Tokens and FLOPs of an image come from ``vlmkit.planning``, for an architecture without weights. Decoding, the model's
preprocessing and the ranking of labels by a two-tower model are timed here, in processor seconds, on one core. All else
is an option: an assumption.
"""

from __future__ import annotations

import io
import platform
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from itertools import islice, product
from pathlib import Path
from typing import Any

import click
import numpy as np
import PIL.Image
import torch
from attrs import evolve, field, frozen

from vlmkit import Example, Image, LabelSpace, Strategy, Taxonomy
from vlmkit.bench.plot import check_plot
from vlmkit.data.images import open_image
from vlmkit.engine.models import build_backend
from vlmkit.local.checkpoint import quiet
from vlmkit.planning import Planner
from vlmkit.prompts import default_prompt
from vlmkit.registry import Builder, Chain, PluginHost
from vlmkit.testing.models import SIZES, sized_checkpoint
from vlmkit.testing.models.two_towers import two_towers
from vlmkit_shortlist.retriever import Retriever

BRANCHES, LEVELS = 28, 3
"""Children of each node of the made-up taxonomy, and its levels: 21,952 leaves, as many as ImageNet-21K needs."""

STRATEGIES = ("flat", "dci:group_size=20", "dci:group_size=100", "tree", "shortlist:k=20")

TIMED = 20
"""Pictures that decoding and preprocessing are timed on."""


@frozen
class Workload:
    """Pictures and labels.

    Args:
        name: What it is called.
        labels: Number of labels.
        images: Number of pictures.
        size: Width and height of a picture, in pixels.
        kilobytes: Size of a picture's file.
    """

    name: str
    labels: int
    images: int
    size: tuple[int, int]
    kilobytes: float


@frozen(kw_only=True)
class Node:
    """A machine, as assumed.

    Args:
        gpus: GPUs.
        cores: CPU cores.
        peak_tflops: TFLOP/s of a GPU in bfloat16, dense, as its maker says.
        utilisation: Share of it that the model gets.
        tokens_per_second: Measured tokens a second of a GPU, in place of the two above.
        network_gbit: Gbit/s between the node and the pictures.
        storage_mb: MB/s that the storage gives to each node.
        price: US dollars for an hour of a GPU, the node's share included.
    """

    gpus: int
    cores: int
    peak_tflops: float
    utilisation: float
    tokens_per_second: float | None
    network_gbit: float
    storage_mb: float
    price: float

    def model_rate(self, tokens: float, flops: float) -> float:
        """Return pictures a second that the GPUs of the node answer."""
        if self.tokens_per_second is not None:
            return self.gpus * self.tokens_per_second / tokens
        return self.gpus * self.peak_tflops * 1e12 * self.utilisation / flops


@frozen
class Cost:
    """What one strategy costs on one workload.

    Args:
        workload: The workload.
        strategy: Spec of the strategy.
        queries: Questions an image.
        tokens: Tokens an image.
        flops: FLOPs an image.
        rates: Pictures a second of a node, by what handles them.
        node: The machine.
    """

    workload: Workload
    strategy: str
    queries: float
    tokens: float
    flops: float
    rates: Mapping[str, float]
    node: Node = field(repr=False)

    @property
    def bottleneck(self) -> str:
        """What handles the fewest pictures a second."""
        return min(self.rates, key=lambda name: self.rates[name])

    @property
    def gpu_hours(self) -> float:
        """Hours of GPUs for the whole workload, waiting included."""
        return self.workload.images / self.rates[self.bottleneck] / 3600 * self.node.gpus

    @property
    def money(self) -> float:
        """US dollars."""
        return self.gpu_hours * self.node.price

    def row(self) -> list[str]:
        """Return the cells of its line."""
        return [
            self.workload.name,
            f"`{self.strategy}`",
            f"{self.queries:,.0f}",
            f"{self.tokens:,.0f}",
            f"{self.flops / 1e12:,.1f}",
            f"{self.rates['model']:,.2f}",
            self.bottleneck,
            f"{self.gpu_hours:,.0f}",
            f"{self.money:,.0f}",
        ]


def photo(size: tuple[int, int], kilobytes: float) -> bytes:
    """Return a JPEG of about that size: smooth shapes with as much noise as it takes."""
    rng = np.random.default_rng(0)
    coarse = PIL.Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).resize(size)
    for noise in range(0, 120, 4):
        pixels = np.asarray(coarse, dtype=float) + rng.normal(0, noise, (size[1], size[0], 3))
        file = io.BytesIO()
        PIL.Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
        if file.tell() >= kilobytes * 1000:
            break
    return file.getvalue()


def rate(work: Callable[[], Any]) -> float:
    """Return how often a core does something in a second of its time, after a warm-up."""
    work()
    started = time.process_time()
    for _ in range(TIMED):
        work()
    return TIMED / (time.process_time() - started)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    ruler = ["---", "---", *["--:"] * (len(head) - 2)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ruler, *rows))


def draw(costs: Sequence[Cost], path: Path) -> None:
    """Draw what each strategy costs on each workload, and write it."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    workloads = list(dict.fromkeys(cost.workload.name for cost in costs))
    strategies = list(dict.fromkeys(cost.strategy for cost in costs))
    figure = Figure(figsize=(9, 1.2 + 0.45 * len(strategies)), layout="constrained")
    panels: Any = figure.subplots(1, len(workloads), sharey=True, squeeze=False)
    for axes, name in zip(panels[0], workloads, strict=True):
        shown = [cost for cost in costs if cost.workload.name == name]
        # Points, not bars: a logarithmic axis has no zero for them to stand on.
        axes.plot([cost.gpu_hours for cost in shown], [cost.strategy for cost in shown], "o")
        for cost in shown:
            held_up = "" if cost.bottleneck == "model" else f", {cost.bottleneck}"
            words = f"\\${_short(cost.money)}{held_up}"
            axes.annotate(words, (cost.gpu_hours, cost.strategy), (8, 0), textcoords="offset points", va="center")
        hours = [cost.gpu_hours for cost in shown]
        axes.set(xscale="log", xlim=(min(hours) / 2, max(hours) * 10), xlabel="GPU-hours", title=name)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda hours, _: _short(hours)))
        axes.grid(axis="x", alpha=0.3)
    panels[0][0].invert_yaxis()  # the order of the table
    figure.savefig(path, dpi=150)


def _short(number: float) -> str:
    """Return a number to two digits, with its thousands or millions as k or M."""
    rounded = float(f"{number:.2g}")
    unit, sign = next((one for one in ((1e6, "M"), (1e3, "k")) if rounded >= one[0]), (1.0, ""))
    return f"{rounded / unit:g}{sign}"


@frozen
class Drawn:
    """Draws embeddings at random in place of a two-tower model: what they say changes no cost.

    Args:
        size: Numbers of an embedding.
    """

    size: int

    def texts(self, texts: Sequence[str]) -> Any:
        """Return one for each text, float32 [n, size]."""
        return np.random.default_rng(0).standard_normal((len(texts), self.size), dtype=np.float32)

    def images(self, images: Sequence[Image]) -> Any:
        """Return one for each picture, float32 [n, size]."""
        return np.random.default_rng(1).standard_normal((len(images), self.size), dtype=np.float32)


def retrieval(picture: Image, labels: LabelSpace, images: int) -> tuple[float, float]:
    """Return what a shortlist costs an image beside its questions, by the architecture of CLIP ViT-B/32.

    Args:
        picture: An image.
        labels: The labels.
        images: The images that share the embedding of the labels.

    Returns:
        FLOPs, and images a second of a core that prepares the picture and ranks the labels.
    """
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    config = CLIPConfig()  # that of openai/clip-vit-base-patch32
    processor = CLIPImageProcessor()
    pixels = processor(picture.pixels, return_tensors="pt")["pixel_values"]
    with torch.inference_mode(), torch.device("meta"):
        model = CLIPModel(config)
        with FlopCounterMode(display=False) as image:
            model.get_image_features(pixel_values=pixels.to("meta"))
        with FlopCounterMode(display=False) as label:
            length = config.text_config.max_position_embeddings
            model.get_text_features(input_ids=torch.ones(1, length, dtype=torch.long))
    retriever: Any = Retriever(Drawn(config.projection_dim), "a photo of a {}.")  # type: ignore[arg-type]

    def rank() -> None:
        processor(picture.pixels, return_tensors="pt")
        retriever.nearest([picture], labels.names, 20)

    return image.get_total_flops() + label.get_total_flops() * len(labels) / images, rate(rank)


def built(spec: str, builder: Builder, clip: Path) -> tuple[Strategy, bool]:
    """Build a strategy, a shortlist with a two-tower model; return it, and whether it is a shortlist."""
    chain = Chain.parse(spec)
    option = "clip", str(clip)
    specs = [evolve(one, options=(*one.options, option)) if one.name == "shortlist" else one for one in chain.specs]
    return builder.strategy(str(Chain(specs))), tuple(specs) != chain.specs


def counted(workload: Workload, size: str, strategies: Sequence[str], folder: Path, node: Node) -> list[Cost]:
    """Plan every strategy on one picture of a workload, and time what happens to it before the model."""
    syllables = [f"{letter}{vowel}" for letter in "bdfglmn" for vowel in "aeio"]
    paths = list(islice(product(syllables, repeat=LEVELS), workload.labels))
    leaves = [tuple(" ".join(path[: depth + 1]) for depth in range(LEVELS)) for path in paths]
    taxonomy = Taxonomy(leaves)
    words = [*syllables, *(f" {syllable}" for syllable in syllables)]
    directory = sized_checkpoint(size, folder / size, words=[*words, default_prompt().template], weights=False)
    builder = Builder(PluginHost.load().registry)
    backend = build_backend(str(directory), builder, dtype="bfloat16", device="cpu", weights=False)
    encoded = photo(workload.size, workload.kilobytes)
    picture = open_image(encoded, name="photo")
    processor = _processor(directory)
    before = {
        "decode": rate(lambda: open_image(encoded, name="photo")) * node.cores,
        "preprocessing": rate(lambda: processor(picture.pixels, return_tensors="pt")) * node.cores,
        "network": node.network_gbit * 1e9 / 8 / len(encoded),
        "storage": node.storage_mb * 1e6 / len(encoded),
    }
    with quiet():
        clip = two_towers("clip", folder / "clip")
    retrieval_flops, ranked = retrieval(picture, taxonomy.labels, workload.images)
    planner = Planner(backend, [Example("1", (encoded,))], taxonomy.labels, default_prompt(), taxonomy=taxonomy)
    costs = []
    for spec in strategies:
        strategy, retrieves = built(spec, builder, clip)
        figures = planner.plan(spec, strategy).per_example
        tokens, flops = figures.tokens, figures.total_flops
        assert tokens is not None and flops is not None  # Qwen3-VL runs token trees, and has formulas
        flops += retrieval_flops * retrieves
        # Labels are ranked by the thread that runs the strategy, of which each GPU's process has one.
        ranking = {"retrieval": ranked * node.gpus} if retrieves else {}
        rates = {"model": node.model_rate(tokens, flops), **before, **ranking}
        costs.append(Cost(workload, spec, figures.queries, tokens, flops, rates, node))
    return costs


def _processor(directory: Path) -> Any:
    from transformers import AutoImageProcessor

    return AutoImageProcessor.from_pretrained(directory, trust_remote_code=False)


@click.command()
@click.option("--model", type=click.Choice(list(SIZES)), default="qwen3-vl-8b", show_default=True, help="Architecture.")
@click.option("--strategy", multiple=True, default=STRATEGIES, help="May be repeated; shortlist without clip=.")
@click.option("--gpus", default=8, show_default=True, help="GPUs of a node.")
@click.option("--cores", default=96, show_default=True, help="CPU cores of a node.")
@click.option("--peak-tflops", default=989.0, show_default=True, help="Peak of a GPU, dense bfloat16 (H100 SXM).")
@click.option("--utilisation", default=0.4, show_default=True, help="Share of the peak that the model gets.")
@click.option("--tokens-per-second", type=float, help="Measured rate of a GPU, in place of peak and utilisation.")
@click.option("--network-gbit", default=25.0, show_default=True, help="Gbit/s from the pictures to a node.")
@click.option("--storage-mb", default=1000.0, show_default=True, help="MB/s that the storage gives each node.")
@click.option("--price", default=2.5, show_default=True, help="US dollars for a GPU-hour.")
@click.option("--images-per-label", default=50, show_default=True, help="ImageNet-21K validation pictures a label.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw GPU-hours into a PNG, SVG or PDF.")
def main(model: str, strategy: Sequence[str], images_per_label: int, plot: Path | None, **assumed: Any) -> None:
    """Print what two large workloads would take, as Markdown."""
    if plot is not None:
        check_plot(plot)
    torch.set_num_threads(1)
    node = Node(**assumed)
    workloads = (
        Workload("ImageNet-21K validation", 21_841, 21_841 * images_per_label, (500, 375), 110),
        Workload("product photos", 20_000, 1_000_000_000, (1024, 1024), 200),
    )
    costs: list[Cost] = []
    with tempfile.TemporaryDirectory() as folder:
        for workload in workloads:
            costs += counted(workload, model, strategy, Path(folder), node)
    head = ["workload", "strategy", "queries", "tokens", "TFLOP", "images/s a node, model", "bottleneck"]
    click.echo(f"{model}, {date.today()}, {platform.processor() or platform.machine()}; cells are per image\n")
    click.echo(table([*head, "GPU-hours", "US$"], [cost.row() for cost in costs]))
    feeds = {
        work: {part: pace for cost in costs if cost.workload == work for part, pace in cost.rates.items()}
        for work in workloads
    }
    parts = [part for part in next(iter(feeds.values())) if part != "model"]
    rows = [
        [work.name, f"{work.images:,}", f"{work.labels:,}", *(f"{paces[part]:,.0f}" for part in parts)]
        for work, paces in feeds.items()
    ]
    ready = table(["workload", "images", "labels", *parts], rows)
    click.echo(f"\nImages a second that a node can get ready:\n\n{ready}")
    if plot is not None:
        draw(costs, plot)


if __name__ == "__main__":
    main()
