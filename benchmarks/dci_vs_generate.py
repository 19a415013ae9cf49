"""One run, two ways: DCI's groups one by one through ``model.generate``, and the same groups through vlmkit.

    python benchmarks/dci_vs_generate.py --labels 1000 --images 4

Both sides load the same checkpoint in the same precision and answer the very same questions, each after a warm-up. The
sides take turns, image by image, so that a machine that slows down slows both.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import click
import torch

from vlmkit import Choose, Engine, Query
from vlmkit_adapters.qwen import qwen
from vlmkit_adapters.tiny import CHECKPOINT
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_strategies.dci import DCI


class Generate:
    """The published way: one prompt, one ``generate`` call, batch size 1."""

    def __init__(self, model: str) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.processor: Any = AutoProcessor.from_pretrained(model)
        self.model: Any = AutoModelForImageTextToText.from_pretrained(model, dtype=torch.float32).eval()

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


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return how long ``work`` took, and its result."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


@click.command()
@click.option("--model", default=str(CHECKPOINT), help="Qwen-VL directory.  [default: the embedded model]")
@click.option("--labels", default=1000, show_default=True, help="Number of glyph labels, 2 to 1,000.")
@click.option("--images", default=4, show_default=True, help="Images timed, after one for warm-up.")
@click.option("--group-size", default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(model: str, labels: int, images: int, group_size: int, as_json: bool) -> None:
    """Time DCI through generate and through vlmkit, and print the ratio."""
    data = Glyphs(labels=labels, images=images + 1)
    plain = Generate(model)
    engine = Engine(DCI(group_size=group_size), qwen(model, device="cpu", dtype="float32"), keep_exchanges=True)
    ours, theirs, right, agreed, asked = [], [], 0, 0, 0
    for index, example in enumerate(data):
        took, (solved,) = seconds(lambda example=example: list(engine.solve([example], data.labels)))
        if solved.error is not None:
            raise solved.error
        queries: Sequence[Choose] = [exchange.query for exchange in solved.exchanges]
        took_plain, replies = seconds(lambda queries=queries: [plain.answer(query) for query in queries])
        if index == 0:
            continue  # the warm-up
        ours.append(took)
        theirs.append(took_plain)
        right += solved.prediction.label == example.target
        asked += len(queries)
        choices = [exchange.answer.choice for exchange in solved.exchanges]
        agreed += sum(reply == choice for reply, choice in zip(replies, choices, strict=True))
    figures = {
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
    if as_json:
        json.dump(figures, sys.stdout, indent=1)
        return
    side = figures["seconds_per_image"]
    click.echo(f"{labels:,} labels in groups of {group_size}: {figures['queries_per_image']:.0f} questions an image")
    click.echo(f"generate, one question at a time  {side['generate']:8.3f} s/image")
    click.echo(f"vlmkit, token trees               {side['vlmkit']:8.3f} s/image")
    click.echo(f"ratio {figures['ratio']:.1f}x; same choice in {figures['same_choice']:.1%} of the questions")


if __name__ == "__main__":
    main()
