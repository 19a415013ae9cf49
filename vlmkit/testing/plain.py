"""The slow, obvious way to a model's scores, to hold a backend against: one full forward for each option."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch

from vlmkit.testing.models.parts import END_OF_TURN
from vlmkit.types import Choose, Image, Label, Query

LABELS = tuple(
    Label(name)
    for name in ("cat", "cat flea", "cat flea bite", "dog", "oak tree", "red oak", "Ärger, groß", "bus stop", "x")
)
"""Labels of one to several tokens, some of which begin others."""


class PlainModel:
    """A checkpoint as transformers alone runs it, float32 on the CPU.

    Args:
        directory: Where the checkpoint lies; its turns end with ``END_OF_TURN``.
    """

    def __init__(self, directory: Path) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.model: Any = AutoModelForImageTextToText.from_pretrained(directory, dtype=torch.float32).eval()
        self.processor: Any = AutoProcessor.from_pretrained(directory)

    def inputs(self, query: Query) -> tuple[str, Any]:
        """Return the prompt as text, and what the processor makes of it."""
        content = [{"type": "image"}] * len(query.images) + [{"type": "text", "text": query.text}]
        prompt = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        images = [[image.pixels for image in query.images]] if query.images else None
        return prompt, self.processor(text=[prompt], images=images, return_tensors="pt").to(torch.float32)

    def token_log_probs(self, query: Query, text: str, *, end: bool = False) -> list[float]:
        """Return the log-probability of every token of an answer, in nats, with or without the turn's end."""
        _, inputs = self.inputs(query)
        target = self.processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        target += [self.processor.tokenizer.convert_tokens_to_ids(END_OF_TURN)] if end else []
        start = inputs["input_ids"].shape[1]
        added = torch.tensor([target])
        inputs["input_ids"] = torch.cat([inputs["input_ids"], added], 1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        for kind in {"mm_token_type_ids", "token_type_ids"} & set(inputs):
            inputs[kind] = torch.cat([inputs[kind], torch.zeros_like(added)], 1)
        if "cross_attention_mask" in inputs:
            seen = inputs["cross_attention_mask"]
            inputs["cross_attention_mask"] = torch.cat([seen, *[seen[:, -1:]] * len(target)], 1)
        with torch.inference_mode():
            log_probs = self.model(**inputs).logits[0].log_softmax(-1)
        return [float(log_probs[start - 1 + i, token]) for i, token in enumerate(target)]

    def scores(self, query: Choose) -> list[float]:
        """Return the log-probability of every option, with the turn's end where it begins another option."""
        names = [option.name for option in query.options]
        return [sum(self.token_log_probs(query, name, end=begins_another(name, query))) for name in names]

    def generate(self, query: Query, max_tokens: int) -> str:
        """Return the greedy reply."""
        _, inputs = self.inputs(query)
        out = self.model.generate(**inputs, max_new_tokens=max_tokens, do_sample=False)
        text: str = self.processor.tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return text


def begins_another(name: str, query: Choose) -> bool:
    """Whether a name is the beginning of another option's name."""
    return any(option.name != name and option.name.startswith(name) for option in query.options)


def noise(count: int, seed: int = 0) -> list[Image]:
    """Return images of noise, each of another size."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(60, 140, (count, 2))
    return [Image(PIL.Image.fromarray(rng.integers(0, 255, (h, w, 3), dtype=np.uint8))) for h, w in sizes]


def questions(images: Sequence[Image], seed: int = 0) -> list[Choose]:
    """Return three questions about each image, of two to eight ``LABELS``."""
    rng = random.Random(seed)
    return [Choose((image,), rng.sample(LABELS, rng.randint(2, 8))) for image in images for _ in range(3)]
