"""From conversations to tensors: the processor's own tokens, and which of them count."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from attrs import define, field

from vlmkit.data.images import open_image
from vlmkit.errors import ModelError
from vlmkit.local.chat import ChatModel
from vlmkit.local.masking import IMAGE_OF, image_of, visual_counts
from vlmkit_train.conversations import IMAGE, Conversation

IGNORED = -100
"""Label of a token that does not count."""


class Collator:
    """Makes a batch of conversations, padded on the right; the loss is on replies with their end of turn alone.

    Args:
        chat: The model with its processor.
        owners: Whether batches say which image every token belongs to, as a mask between images needs.
    """

    def __init__(self, chat: ChatModel, *, owners: bool = False) -> None:
        self._chat = chat
        self._owners = owners
        chat.processor.tokenizer.padding_side = "right"

    def __call__(self, conversations: Sequence[Conversation]) -> dict[str, torch.Tensor]:
        """Return the model's arguments, ``labels`` int64 [B, T] among them.

        Args:
            conversations: All with the same number of images.

        Raises:
            ImageError: An image cannot be read.
            ModelError: The chat template or the tokenizer does not tell replies from what stands before them, or the
                tokens do not tell where an image ends.
        """
        messages = [_messages(conversation) for conversation in conversations]
        batch = self._processed(messages)
        labels = torch.full_like(batch["input_ids"], IGNORED)
        for row, one in enumerate(messages):
            real = batch["attention_mask"][row].bool()
            ids = batch["input_ids"][row, real]
            counted = torch.full_like(ids, IGNORED)
            for start, stop in self._replies(one, ids.tolist()):
                counted[start:stop] = ids[start:stop]
            labels[row, real] = counted
        if self._owners:
            batch[IMAGE_OF] = self._image_of(batch, [len(conversation.images) for conversation in conversations])
        dtype = self._chat.model.dtype
        cast = {name: value.to(dtype) if value.is_floating_point() else value for name, value in batch.items()}
        return {**cast, "labels": labels}

    def _image_of(self, batch: Mapping[str, torch.Tensor], images: Sequence[int]) -> torch.Tensor:
        """Return the index of the image that every token belongs to, int64 [B, T]."""
        token = int(self._chat.model.config.image_token_id)
        rows = [
            image_of(ids, token, visual_counts(ids, token, count))
            for ids, count in zip(batch["input_ids"].tolist(), images, strict=True)
        ]
        return torch.tensor(rows)

    def _processed(self, messages: Sequence[Any]) -> dict[str, torch.Tensor]:
        made = self._chat.processor.apply_chat_template(
            messages,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": len(messages) > 1},
        )
        return dict(made)

    def _replies(self, messages: Sequence[Any], ids: list[int]) -> Iterator[tuple[int, int]]:
        """Yield where each reply begins and where its end of turn ends; no image comes after the first reply."""
        written = self._template(messages)
        end = self._chat.end_tokens[0]
        for place, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            prompt = self._template(messages[:place], add_generation_prompt=True)
            if not written.startswith(prompt):
                raise self._unclear("its chat template writes a reply elsewhere than after its prompt")
            (rest,) = self._chat.tokenize([written[len(prompt) :]])
            start = len(ids) - len(rest)
            if ids[start:] != list(rest):
                raise self._unclear("its tokenizer merges a reply with its prompt")
            if end not in rest:
                raise self._unclear("its chat template writes no end of turn after a reply")
            yield start, ids.index(end, start) + 1

    def _template(self, messages: Sequence[Any], **more: Any) -> str:
        text: str = self._chat.processor.apply_chat_template(messages, tokenize=False, **more)
        return text

    def _unclear(self, reason: str) -> ModelError:
        return ModelError(f"model {self._chat.checkpoint.model} cannot be trained: {reason}", hint="use another model")


def _messages(conversation: Conversation) -> list[dict[str, Any]]:
    """Return the conversation as chat templates take it, its words trimmed as those of queries are."""
    images = iter(conversation.images)
    messages = []
    for turn in conversation.turns:
        content: list[dict[str, Any]] = []
        for part, text in enumerate(turn.text.split(IMAGE)):
            if part:
                content.append({"type": "image", "image": open_image(next(images)).pixels})
            if text.strip():
                content.append({"type": "text", "text": text.strip()})
        messages.append({"role": turn.role, "content": content})
    return messages


@define(eq=False)
class AlikeBatches(torch.utils.data.Sampler[int]):
    """An order in which the conversations of each batch have the same number of images; another one each epoch.

    The last batch of a kind is filled up with conversations of that kind, so all batches have one size.

    Args:
        images: Number of images of each conversation.
        batch_size: Conversations in a batch.
        seed: Where chance comes from.
    """

    images: Sequence[int]
    batch_size: int
    seed: int
    _epoch: int = field(default=0, init=False)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of that epoch."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = random.Random(f"{self.seed}/{self._epoch}")
        kinds: dict[int, list[int]] = {}
        for index, count in enumerate(self.images):
            kinds.setdefault(count, []).append(index)
        batches = []
        for kind in kinds.values():
            rng.shuffle(kind)
            kind += rng.choices(kind, k=-len(kind) % self.batch_size)
            batches += [kind[start : start + self.batch_size] for start in range(0, len(kind), self.batch_size)]
        rng.shuffle(batches)
        return (index for batch in batches for index in batch)

    def __len__(self) -> int:
        counts: dict[int, int] = {}
        for count in self.images:
            counts[count] = counts.get(count, 0) + 1
        return sum(-(-count // self.batch_size) * self.batch_size for count in counts.values())
