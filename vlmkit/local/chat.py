"""How a checkpoint talks: its chat template, its tokens, how it ends a turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from vlmkit.local.checkpoint import Checkpoint

_WORDS = "\ue000words\ue000"
"""Stands for the user's words while a chat template's frame is taken; no template touches private-use characters."""


class ChatModel:
    """A loaded checkpoint with its processor.

    Args:
        checkpoint: Where it lies.
        processor: Its tokenizer, image processor and chat template.
        model: Its weights.
    """

    def __init__(self, checkpoint: Checkpoint, processor: Any, model: Any) -> None:
        self.checkpoint = checkpoint
        self.processor = processor
        self.model = model
        self.device = checkpoint.torch_device
        self._frames: dict[int, tuple[str, str]] = {}

    def frame(self, images: int) -> tuple[str, str]:
        """Return what the chat template writes before and after the words that follow so many images."""
        if images not in self._frames:
            content = [{"type": "image"}] * images + [{"type": "text", "text": _WORDS}]
            prompt = self.processor.apply_chat_template(
                [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
            )
            before, _, after = prompt.partition(_WORDS)
            self._frames[images] = (before, after)
        return self._frames[images]

    def chat(self, text: str, images: int) -> str:
        """Return the whole prompt up to the answer."""
        before, after = self.frame(images)
        return before + text.strip() + after

    def tokenize(self, texts: Sequence[str]) -> Sequence[Sequence[int]]:
        """Return token ids, nothing added, one placeholder id for each image."""
        if not texts:
            return []
        made = self.processor.tokenizer(
            list(texts), add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False
        )
        ids: Sequence[Sequence[int]] = made["input_ids"]
        return ids

    def detokenize(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, special tokens removed."""
        text: str = self.processor.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    @cached_property
    def end_tokens(self) -> tuple[int, ...]:
        """Ids that end the model's turn: first the one that the chat template writes, then the tokenizer's own."""
        configured = self.model.generation_config.eos_token_id
        more = configured if isinstance(configured, list) else [configured]
        ids = [token for token in (self.processor.tokenizer.eos_token_id, *more) if token is not None]
        written = [token for token in self._after_a_reply[:1] if token in ids]
        return tuple(dict.fromkeys([*written, *ids]))

    @property
    def _after_a_reply(self) -> Sequence[int]:
        """Token ids of what the chat template writes after a reply."""
        turns = [{"role": role, "content": [{"type": "text", "text": _WORDS}]} for role in ("user", "assistant")]
        prompt: str = self.processor.apply_chat_template(turns, tokenize=False)
        return self.tokenize([prompt.rpartition(_WORDS)[2]])[0]

    @property
    def identity(self) -> Mapping[str, Any]:
        """What a manifest says of the loaded model."""
        return {"parameters": sum(parameter.numel() for parameter in self.model.parameters())}
