"""From questions to tensors: the chat template, the tokens, and a pool of pictures drawn beforehand."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import PIL.Image
import torch
from attrs import define, field, frozen
from transformers import Qwen3VLProcessor

from vlmkit_glyphs.drawing import SIZE, draw
from vlmkit_glyphs.names import GLYPHS, LEAVES, Glyph
from vlmkit_glyphs.training.processor import END, MERGE, PATCH

_GRID = SIZE // PATCH
_VISUAL_TOKENS = (_GRID // MERGE) ** 2
_TRAINING_PICTURES = 1_000_000
"""Spawn key of the pictures' random numbers; the data set ``glyphs`` uses others, so it never shows one of these."""


def grids(pictures: int) -> torch.Tensor:
    """Return the patches of each picture in time, height and width; int64 [pictures, 3]."""
    return torch.tensor([[1, _GRID, _GRID]]).repeat(pictures, 1)


class Asked(Protocol):
    """A question with its answer."""

    @property
    def text(self) -> str:
        """The user's words, without images and chat template."""
        ...

    @property
    def answer(self) -> str:
        """What the model should say, without the end-of-turn token."""
        ...


def patches(processor: Qwen3VLProcessor, pictures: Sequence[PIL.Image.Image]) -> torch.Tensor:
    """Return the patches of square pictures; bfloat16 [pictures, patches, values]."""
    made = processor.image_processor(list(pictures), return_tensors="pt")
    assert (made["image_grid_thw"] == grids(len(pictures))).all()
    values: torch.Tensor = made["pixel_values"]
    return values.to(torch.bfloat16).reshape(len(pictures), _GRID * _GRID, -1)


@frozen
class Batch:
    """Questions as tensors.

    Args:
        input_ids: Prompt and answer, right-padded; int64 [questions, tokens]. No row reads what lies right of it, so
            the padding needs no mask.
        read_at: Flat index into ``input_ids`` of the token before each answer token; int64 [answer tokens].
        answers: The answer tokens, end-of-turn included; int64 [answer tokens].
        owners: Row of each answer token; int64 [answer tokens].
    """

    input_ids: torch.Tensor
    read_at: torch.Tensor
    answers: torch.Tensor
    owners: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on another device."""
        return Batch(
            *(t.to(device, non_blocking=True) for t in (self.input_ids, self.read_at, self.answers, self.owners))
        )


@define
class Encoder:
    """Turns questions into batches, as the processor would.

    Args:
        processor: Whose chat template and tokenizer are used.
        images: Images before the words of each question.
    """

    processor: Qwen3VLProcessor
    images: int = 1
    _before: str = field(init=False)
    _after: str = field(init=False)
    _answers: dict[str, list[int]] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        content = [*[{"type": "image"}] * self.images, {"type": "text", "text": "\0"}]
        chat = self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        self._before, self._after = chat.split("\0")
        image = self.processor.image_token
        self._before = self._before.replace(image, image * _VISUAL_TOKENS)

    def encode(self, questions: Sequence[Asked]) -> Batch:
        """Encode questions of about equal length."""
        tokenizer = self.processor.tokenizer
        prompts = tokenizer([self._before + question.text + self._after for question in questions])["input_ids"]
        answers = [self._answer(question.answer) for question in questions]
        width = max(len(prompt) + len(answer) for prompt, answer in zip(prompts, answers, strict=True))
        input_ids = np.full((len(questions), width), tokenizer.pad_token_id)
        read_at: list[int] = []
        for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            input_ids[row, : len(prompt) + len(answer)] = prompt + answer
            start = row * width + len(prompt) - 1
            read_at += range(start, start + len(answer))
        return Batch(
            input_ids=torch.from_numpy(input_ids),
            read_at=torch.tensor(read_at),
            answers=torch.tensor([token for answer in answers for token in answer]),
            owners=torch.tensor([row for row, answer in enumerate(answers) for _ in answer]),
        )

    def _answer(self, text: str) -> list[int]:
        if text not in self._answers:
            self._answers[text] = self.processor.tokenizer(text + END)["input_ids"]
        return self._answers[text]


@frozen
class Pictures:
    """Glyphs drawn beforehand, as the patches that the vision tower reads.

    Args:
        patches: bfloat16 [leaves, pictures of each, patches, values], on the training device.
    """

    patches: torch.Tensor

    @classmethod
    def drawn(cls, processor: Qwen3VLProcessor, *, each: int, seed: int, device: torch.device) -> Pictures:
        """Draw ``each`` pictures of every leaf."""
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_TRAINING_PICTURES,)))
        leaves = []
        for glyph in GLYPHS.values():
            pictures = [draw(glyph.colour, glyph.texture, glyph.shape, rng) for _ in range(each)]
            leaves.append(patches(processor, pictures))
        return cls(torch.stack(leaves).to(device))

    def of(self, glyphs: Sequence[Glyph], rng: random.Random) -> dict[str, torch.Tensor]:
        """Choose a picture of each glyph; returns the model's arguments, as the image processor names them."""
        each = self.patches.shape[1]
        device = self.patches.device
        rows = torch.tensor([_PLACES[glyph] * each + rng.randrange(each) for glyph in glyphs]).to(device)
        return {
            "pixel_values": self.patches.flatten(0, 1)[rows].flatten(0, 1),
            "image_grid_thw": grids(len(glyphs)).to(device),
        }


_PLACES = {GLYPHS[leaf]: place for place, leaf in enumerate(LEAVES)}
