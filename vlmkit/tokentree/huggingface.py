"""What all families of Hugging Face checkpoints share: chat template, tokenizer, logits, identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch

from vlmkit.tokentree.checkpoint import Checkpoint

_WORDS = "\ue000words\ue000"
"""Stands for the user's words while a chat template's frame is taken; no template touches private-use characters."""


class HuggingFaceFamily:
    """The shared half of a ``Family``; a subclass adds how images are prepared, encoded, placed and fed in.

    Args:
        checkpoint: What to load.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.processor: Any = checkpoint.load_processor()
        self.model: Any = checkpoint.load_model()
        self.device = checkpoint.torch_device
        self._frames: dict[int, tuple[str, str]] = {}

    def chat(self, text: str, images: int) -> str:
        """Return the whole prompt up to the answer."""
        if images not in self._frames:
            content = [{"type": "image"}] * images + [{"type": "text", "text": _WORDS}]
            prompt = self.processor.apply_chat_template(
                [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
            )
            before, _, after = prompt.partition(_WORDS)
            self._frames[images] = (before, after)
        before, after = self._frames[images]
        return before + text.strip() + after

    def tokenize(self, texts: Sequence[str]) -> Sequence[Sequence[int]]:
        """Return token ids, nothing added, one placeholder id for each image."""
        if not texts:
            return []
        ids: Sequence[Sequence[int]] = self.processor.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return ids

    def detokenize(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, special tokens removed."""
        text: str = self.processor.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    @cached_property
    def end_tokens(self) -> tuple[int, ...]:
        """Ids that end the model's turn, the tokenizer's own first."""
        configured = self.model.generation_config.eos_token_id
        more = configured if isinstance(configured, list) else [configured]
        ids = [self.processor.tokenizer.eos_token_id, *more]
        return tuple(dict.fromkeys(token for token in ids if token is not None))

    @cached_property
    def kv_bytes(self) -> int:
        """Bytes that the keys and values of one token take, all layers together."""
        config = self.model.config.get_text_config()
        heads = config.num_key_value_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return int(2 * config.num_hidden_layers * heads * size * self.checkpoint.torch_dtype.itemsize)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return next-token logits, [n, V]."""
        logits: torch.Tensor = self.model.lm_head(hidden)
        return logits

    @property
    def identity(self) -> Mapping[str, Any]:
        """What a manifest says of the loaded model."""
        return {"parameters": sum(parameter.numel() for parameter in self.model.parameters())}
