"""What families of Hugging Face checkpoints share, and what most of them do alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch

from vlmkit.tokentree.backend import TokenTreeBackend
from vlmkit.tokentree.checkpoint import Checkpoint
from vlmkit.tokentree.family import Features, Picture
from vlmkit.tokentree.layout import Layout, Sight
from vlmkit.types import Image

_WORDS = "\ue000words\ue000"
"""Stands for the user's words while a chat template's frame is taken; no template touches private-use characters."""


class HuggingFaceFamily:
    """A ``Family`` of the plainest kind: images cut into tiles of one size, one position axis, causal attention.

    A subclass replaces what its family does otherwise.

    Args:
        checkpoint: What to load.
    """

    images_see_ahead = False
    """Whether the tokens of one image see each other in both directions."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.processor: Any = checkpoint.load_processor()
        self.model: Any = checkpoint.load_model()
        self.device = checkpoint.torch_device
        self._frames: dict[int, tuple[str, str]] = {}

    @classmethod
    def backend(
        cls,
        model: str,
        device: str | None = None,
        dtype: str | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
    ) -> TokenTreeBackend:
        """Return a backend for a checkpoint of this family; weights load at the first query.

        Args:
            model: Directory or hub id.
            device: ``cuda``, ``cuda:1``, ``cpu``; by default CUDA where there is one.
            dtype: ``float32``, ``bfloat16`` or ``float16``; by default bfloat16 on CUDA, float32 on the CPU.
            revision: Hub revision.
            trust_remote_code: Whether code in the checkpoint may run.

        Raises:
            ModelError: Device or dtype cannot be had.
        """
        checkpoint = Checkpoint(model, device, dtype, revision, trust_remote_code)
        return TokenTreeBackend(lambda: cls(checkpoint), checkpoint.identity)

    @cached_property
    def image_token(self) -> int:
        """Id of the placeholder token that visual tokens replace."""
        return int(self.model.config.image_token_id)

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

    @cached_property
    def kv_bytes(self) -> int:
        """Bytes that the keys and values of one token take, all layers together."""
        config = self.model.config.get_text_config()
        heads = config.num_key_value_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return int(2 * config.num_hidden_layers * heads * size * self.checkpoint.torch_dtype.itemsize)

    def picture(self, image: Image, alone: bool) -> Picture:
        """Prepare one image as the processor does; ``pixel_values`` [tiles, channels, height, width]."""
        prepared = self.processor(images=[[image.pixels]], text=[self.processor.image_token], return_tensors="pt")
        tokens = int((prepared["input_ids"] == self.image_token).sum())
        return Picture(image.digest, tokens, {"pixel_values": prepared["pixel_values"]})

    def expand(self, ids: Sequence[int], pictures: Sequence[Picture]) -> list[int]:
        """Repeat every placeholder for each visual token of its picture."""
        counts = iter([picture.tokens for picture in pictures])
        return [each for token in ids for each in [token] * (next(counts) if token == self.image_token else 1)]

    @torch.inference_mode()
    def encode(self, pictures: Sequence[Picture]) -> Sequence[Features]:
        """Run the vision tower and projector over all tiles of all pictures at once."""
        pixels = [picture.inputs["pixel_values"] for picture in pictures]
        out = self.model.model.get_image_features(torch.cat(pixels).to(self.device))
        tiles = torch.split(out.pooler_output, [len(one) for one in pixels])
        return [Features(one.flatten(0, 1)) for one in tiles]

    def positions(self, ids: Sequence[int], pictures: Sequence[Picture]) -> torch.Tensor:
        """Count from 0 on one axis; int64 [1, len(ids)]."""
        return torch.arange(len(ids))[None]

    def sights(self, ids: Sequence[int], features: Sequence[Features]) -> Sequence[Sight]:
        """Return nothing: there is no cross-attention."""
        return ()

    def forward(
        self, ids: torch.Tensor, positions: torch.Tensor, features: Sequence[Features], layout: Layout
    ) -> torch.Tensor:
        """Return hidden states, [T, hidden]."""
        out = self.model.model.language_model(
            inputs_embeds=self.embed(ids, features), position_ids=positions, use_cache=False, layout=layout
        )
        hidden: torch.Tensor = out.last_hidden_state[0]
        return hidden

    def embed(self, ids: torch.Tensor, features: Sequence[Features]) -> torch.Tensor:
        """Return what enters the language model, [1, T, hidden], visual tokens in place of their placeholders."""
        embeds: torch.Tensor = self.model.get_input_embeddings()(ids[None])
        if not features:
            return embeds
        visual = (ids == self.image_token)[None, :, None]
        return embeds.masked_scatter(visual, torch.cat([one.embeds for one in features]).to(embeds.dtype))

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return next-token logits, [n, V]."""
        logits: torch.Tensor = self.model.lm_head(hidden)
        return logits

    @property
    def identity(self) -> Mapping[str, Any]:
        """What a manifest says of the loaded model."""
        return {"parameters": sum(parameter.numel() for parameter in self.model.parameters())}
