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
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click
import torch
from attrs import define, field

from vlmkit import Engine, Example, Query
from vlmkit_adapters.qwen import qwen
from vlmkit_adapters.tiny import CHECKPOINT
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_strategies.dci import DCI


class Generate:
    """The published way: one prompt, one ``generate`` call, batch size 1."""

    def __init__(self, model: str, dtype: str) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.processor: Any = AutoProcessor.from_pretrained(model)
        self.model: Any = AutoModelForImageTextToText.from_pretrained(model, dtype=getattr(torch, dtype)).eval()

    def answer(self, query: Query, *, max_tokens: int = 16) -> str:
        """Return the greedy reply to one query."""
        content = [{"type": "image"} for _ in query.images] + [{"type": "text", "text": query.text}]
        prompt = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        inputs = self.processor(text=[prompt], images=[image.pixels for image in query.images], return_tensors="pt")
        reply = self.model.generate(**inputs, max_new_tokens=max_tokens, do_sample=False)
        text: str = self.processor.tokenizer.decode(reply[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return text


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


def measure(model: str, dtype: str, data: Glyphs, group_size: int, in_flight: int) -> Tally:
    """Let both sides answer about all images but the first block, which warms them up."""
    plain = Generate(model, dtype)
    backend = qwen(model, device="cpu", dtype=dtype)
    engine = Engine(DCI(group_size=group_size), backend, in_flight=in_flight, keep_exchanges=True)
    tally = Tally()
    for index, block in enumerate(batched(data, in_flight)):
        took, solved = seconds(lambda block=block: list(engine.solve(block, data.labels)))
        for one in solved:
            if one.error is not None:
                raise one.error
        exchanges = [exchange for one in solved for exchange in one.exchanges]
        if index == 0:
            plain.answer(exchanges[0].query)
            continue
        took_plain, replies = seconds(
            lambda exchanges=exchanges: [plain.answer(exchange.query) for exchange in exchanges]
        )
        tally.vlmkit.append(took)
        tally.generate.append(took_plain)
        tally.images += len(solved)
        tally.right += sum(one.prediction.label == one.example.target for one in solved)
        tally.asked += len(exchanges)
        tally.agreed += sum(exchange.answer.choice == reply for exchange, reply in zip(exchanges, replies, strict=True))
    return tally


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
@click.option(
    "--dtype", "dtypes", multiple=True, default=("float32", "bfloat16"), show_default=True, help="Precision of both."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(
    model: str, labels: int, images: int, in_flight: int, group_size: int, dtypes: tuple[str, ...], as_json: bool
) -> None:
    """Time DCI through generate and through vlmkit, and print the ratio."""
    data = Glyphs(labels=labels, images=images + in_flight)
    figures = {
        "labels": labels,
        "images": images,
        "in_flight": in_flight,
        "group_size": group_size,
        "threads": torch.get_num_threads(),
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        **{dtype: measure(model, dtype, data, group_size, in_flight).figures() for dtype in dtypes},
    }
    if as_json:
        json.dump(figures, sys.stdout, indent=1)
        return
    click.echo(f"{labels:,} labels in groups of {group_size}, {images} images, {figures['threads']} threads")
    click.echo("           questions   generate     vlmkit          same")
    click.echo("           an image    s/image     s/image   ratio  choice")
    for dtype in dtypes:
        one = figures[dtype]
        side = one["seconds_per_image"]
        click.echo(
            f"{dtype:10} {one['queries_per_image']:8.0f} {side['generate']:10.3f} {side['vlmkit']:11.3f} "
            f"{one['ratio']:6.1f}x {one['same_choice']:7.1%}"
        )


if __name__ == "__main__":
    main()
