"""One run, two ways: DCI's groups one by one through ``model.generate``, and the same groups through vlmkit.

    python benchmarks/dci_vs_generate.py --labels 1000 --images 16

Both sides load the same checkpoint in the same precision and answer the very same questions, each after a warm-up.
vlmkit gets its images as a run does, several in flight; ``generate`` gets its questions one by one, as published. The
sides take turns, block by block of images, so that a machine that slows down slows both.
"""

from __future__ import annotations

import itertools
import json
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import click
import torch
from attrs import define, field

from vlmkit import Engine, Example
from vlmkit.testing.plain import Plain
from vlmkit_adapters.qwen import qwen
from vlmkit_adapters.tiny import CHECKPOINT
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_strategies.dci import DCI


@define
class Tally:
    """What the blocks of one precision came to.

    Args:
        generate: Seconds of each block through generate.
        vlmkit: Seconds of each block through vlmkit.
        images: How many.
        right: How many of them vlmkit named rightly.
        asked: Questions.
        agreed: Questions to which both sides gave the same choice.
    """

    generate: list[float] = field(factory=list)
    vlmkit: list[float] = field(factory=list)
    images: int = 0
    right: int = 0
    asked: int = 0
    agreed: int = 0

    def figures(self) -> dict[str, Any]:
        """Return seconds an image, their ratio, and what was answered."""
        return {
            "seconds_per_image": {
                "generate": sum(self.generate) / self.images,
                "vlmkit": sum(self.vlmkit) / self.images,
            },
            "ratio": sum(self.generate) / sum(self.vlmkit),
            "queries_per_image": self.asked / self.images,
            "accuracy": self.right / self.images,
            "same_choice": self.agreed / self.asked,
        }


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return how long ``work`` took, and its result."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def compare(
    model: str,
    *,
    labels: int,
    images: int,
    group_size: int = 20,
    in_flight: int = 8,
    device: str | None = "cpu",
    dtype: str = "float32",
    max_tokens: int = 16,
) -> dict[str, Any]:
    """Let both sides answer about all images but the first block, which warms them up, and return the figures.

    Args:
        model: Qwen-VL directory.
        labels: Number of glyph labels, 2 to 1,000.
        images: Images timed.
        group_size: Labels in a question.
        in_flight: Images that vlmkit works on at a time: a block.
        device: Device of both sides.
        dtype: Precision of both sides.
        max_tokens: Longest reply of ``generate``, in tokens.
    """
    data = Glyphs(labels=labels, images=images + in_flight)
    plain = Plain(model, device, dtype)
    backend = qwen(model, device=device, dtype=dtype)
    engine = Engine(DCI(group_size=group_size), backend, in_flight=in_flight, keep_exchanges=True)
    tally = Tally()
    for index, block in enumerate(batched(data, in_flight)):
        took, solved = seconds(lambda block=block: list(engine.solve(block, data.labels)))
        for one in solved:
            if one.error is not None:
                raise one.error
        exchanges = [exchange for one in solved for exchange in one.exchanges]
        if index == 0:
            plain.generate(exchanges[0].query, max_tokens)
            continue
        took_plain, replies = seconds(
            lambda exchanges=exchanges: [plain.generate(exchange.query, max_tokens) for exchange in exchanges]
        )
        tally.vlmkit.append(took)
        tally.generate.append(took_plain)
        tally.images += len(solved)
        tally.right += sum(one.prediction.label == one.example.target for one in solved)
        tally.asked += len(exchanges)
        tally.agreed += sum(exchange.answer.choice == reply for exchange, reply in zip(exchanges, replies, strict=True))
    return tally.figures()


def report(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the figures of several precisions as a table."""
    lines = [
        "           questions   generate     vlmkit          same",
        "           an image    s/image     s/image   ratio  choice",
    ]
    for dtype, one in figures.items():
        side = one["seconds_per_image"]
        lines.append(
            f"{dtype:10} {one['queries_per_image']:8.0f} {side['generate']:10.3f} {side['vlmkit']:11.3f} "
            f"{one['ratio']:6.1f}x {one['same_choice']:7.1%}"
        )
    return "\n".join(lines)


def batched(data: Iterable[Example], size: int) -> Iterator[list[Example]]:
    """Cut a data set into blocks."""
    examples = iter(data)
    while block := list(itertools.islice(examples, size)):
        yield block


@click.command()
@click.option("--model", default=str(CHECKPOINT), help="Qwen-VL directory.  [default: the embedded model]")
@click.option("--labels", default=1000, show_default=True, help="Number of glyph labels, 2 to 1,000.")
@click.option("--images", default=16, show_default=True, help="Images timed, after one block for warm-up.")
@click.option("--in-flight", default=8, show_default=True, help="Images that vlmkit works on at a time: a block.")
@click.option("--group-size", default=20, show_default=True)
@click.option("--device", default="cpu", show_default=True, help="Device of both sides.")
@click.option(
    "--dtype", "dtypes", multiple=True, default=("float32", "bfloat16"), show_default=True, help="Precision of both."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(
    model: str,
    labels: int,
    images: int,
    in_flight: int,
    group_size: int,
    device: str,
    dtypes: tuple[str, ...],
    as_json: bool,
) -> None:
    """Time DCI through generate and through vlmkit, and print the ratio."""
    asked = {"labels": labels, "images": images, "group_size": group_size, "in_flight": in_flight, "device": device}
    figures = {dtype: compare(model, **asked, dtype=dtype) for dtype in dtypes}
    if as_json:
        setting = {"machine": platform.processor() or platform.machine(), "threads": torch.get_num_threads()}
        click.echo(json.dumps({**asked, **setting, "torch": torch.__version__, **figures}, indent=1))
        return
    click.echo(f"{labels:,} labels in groups of {group_size}, {images} images, {torch.get_num_threads()} threads")
    click.echo(report(figures))


if __name__ == "__main__":
    main()
