"""One run, two ways: DCI's groups one by one through ``model.generate``, and the same groups through vlmkit.

    python benchmarks/dci_vs_generate.py --labels 1000 --images 4

Both sides load the same checkpoint in the same precision and answer the very same questions, each after a warm-up. The
sides take turns, image by image, so that a machine that slows down slows both.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import click
import torch

from vlmkit import Choose, Engine
from vlmkit.testing.plain import Plain
from vlmkit_adapters.qwen import qwen
from vlmkit_adapters.tiny import CHECKPOINT
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_strategies.dci import DCI


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
    device: str | None = "cpu",
    dtype: str = "float32",
    max_tokens: int = 16,
) -> dict[str, Any]:
    """Return what both sides took, and how often they chose the same.

    Args:
        model: Qwen-VL directory.
        labels: Number of glyph labels, 2 to 1,000.
        images: Images timed, after one for warm-up.
        group_size: Labels in a question.
        device: Device of both sides.
        dtype: Precision of both sides.
        max_tokens: Longest reply of ``generate``, in tokens.
    """
    data = Glyphs(labels=labels, images=images + 1)
    plain = Plain(model, device, dtype)
    engine = Engine(DCI(group_size=group_size), qwen(model, device=device, dtype=dtype), keep_exchanges=True)
    ours, theirs, right, agreed, asked = [], [], 0, 0, 0
    for index, example in enumerate(data):
        took, (solved,) = seconds(lambda example=example: list(engine.solve([example], data.labels)))
        if solved.error is not None:
            raise solved.error
        queries: Sequence[Choose] = [exchange.query for exchange in solved.exchanges]
        took_plain, replies = seconds(lambda queries=queries: [plain.generate(query, max_tokens) for query in queries])
        if index == 0:
            continue  # the warm-up
        ours.append(took)
        theirs.append(took_plain)
        right += solved.prediction.label == example.target
        asked += len(queries)
        choices = [exchange.answer.choice for exchange in solved.exchanges]
        agreed += sum(reply == choice for reply, choice in zip(replies, choices, strict=True))
    return {
        "labels": labels,
        "images": images,
        "group_size": group_size,
        "queries_per_image": asked / images,
        "seconds_per_image": {"generate": statistics.median(theirs), "vlmkit": statistics.median(ours)},
        "ratio": sum(theirs) / sum(ours),
        "accuracy": right / images,
        "same_choice": agreed / asked,
        "threads": torch.get_num_threads(),
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
    }


def report(figures: dict[str, Any]) -> str:
    """Return the figures in four lines."""
    side = figures["seconds_per_image"]
    return (
        f"{figures['labels']:,} labels in groups of {figures['group_size']}: "
        f"{figures['queries_per_image']:.0f} questions an image\n"
        f"generate, one question at a time  {side['generate']:8.3f} s/image\n"
        f"vlmkit, token trees               {side['vlmkit']:8.3f} s/image\n"
        f"ratio {figures['ratio']:.1f}x; same choice in {figures['same_choice']:.1%} of the questions"
    )


@click.command()
@click.option("--model", default=str(CHECKPOINT), help="Qwen-VL directory.  [default: the embedded model]")
@click.option("--labels", default=1000, show_default=True, help="Number of glyph labels, 2 to 1,000.")
@click.option("--images", default=4, show_default=True, help="Images timed, after one for warm-up.")
@click.option("--group-size", default=20, show_default=True)
@click.option("--device", default="cpu", show_default=True, help="Device of both sides.")
@click.option("--dtype", default="float32", show_default=True, help="Precision of both sides.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(model: str, labels: int, images: int, group_size: int, device: str, dtype: str, as_json: bool) -> None:
    """Time DCI through generate and through vlmkit, and print the ratio."""
    figures = compare(model, labels=labels, images=images, group_size=group_size, device=device, dtype=dtype)
    click.echo(json.dumps(figures, indent=1) if as_json else report(figures))


if __name__ == "__main__":
    main()
