"""Llama 4.

What is theirs: an image is cut into tiles with separators between them and the whole image last; most layers attend
within chunks of the sequence; the others have no rotary positions, and their attention sharpens with the position.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from vlmkit import Image
from vlmkit.tokentree import Checkpoint, Features, HuggingFaceFamily, Layout, Picture, tree_attention

ATTENTION = "vlmkit_tree_llama4"
"""Name under which the attention function is registered with transformers."""


class Llama4Family(HuggingFaceFamily):
    """A loaded Llama 4 model."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        from transformers import AttentionInterface

        super().__init__(checkpoint)
        AttentionInterface.register(ATTENTION, llama4_attention)
        self.model.language_model.set_attn_implementation(ATTENTION)
        for layer in self.model.language_model.model.layers:
            # It would count packed tokens; ``llama4_attention`` takes positions instead.
            layer.self_attn.attn_temperature_tuning = False

    def picture(self, image: Image, alone: bool) -> Picture:
        """Prepare one image: ``pixel_values`` [tiles, channels, height, width], ``input_ids`` [tokens and frame]."""
        prepared = self.processor(
            images=[image.pixels], text=[self.processor.image_token], add_special_tokens=False, return_tensors="pt"
        )
        ids = prepared["input_ids"][0]
        tokens = int((ids == self.image_token).sum())
        return Picture(image.digest, tokens, {"pixel_values": prepared["pixel_values"], "input_ids": ids})

    def expand(self, ids: Sequence[int], pictures: Sequence[Picture]) -> list[int]:
        """Replace every placeholder by the frame of its picture."""
        placeholder = self.processor.image_token_id
        frames = iter([picture.inputs["input_ids"].tolist() for picture in pictures])
        return [each for token in ids for each in (next(frames) if token == placeholder else [token])]

    @torch.inference_mode()
    def encode(self, pictures: Sequence[Picture]) -> Sequence[Features]:
        """Run the vision tower and projector over all tiles of all pictures at once."""
        pixels = [picture.inputs["pixel_values"] for picture in pictures]
        out = self.model.vision_model(torch.cat(pixels).to(self.device, self.model.dtype))
        tiles = torch.split(self.model.multi_modal_projector(out.last_hidden_state), [len(one) for one in pixels])
        return [Features(one.flatten(0, 1)) for one in tiles]

    @property
    def layers(self) -> Sequence[torch.nn.Module]:
        """The layers of the language model."""
        layers: Sequence[torch.nn.Module] = self.model.language_model.model.layers
        return layers

    def forward(
        self, ids: torch.Tensor, positions: torch.Tensor, features: Sequence[Features], layout: Layout
    ) -> torch.Tensor:
        """Return hidden states, [T, hidden]."""
        out = self.model.language_model.model(
            inputs_embeds=self.embed(ids, features),
            position_ids=positions,
            use_cache=False,
            layout=layout,
            places=positions[0],
        )
        hidden: torch.Tensor = out.last_hidden_state[0]
        return hidden

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return next-token logits, [n, V]."""
        logits: torch.Tensor = self.model.language_model.lm_head(hidden)
        return logits


def llama4_attention(
    module: Any, query: torch.Tensor, *args: Any, places: torch.Tensor, **more: Any
) -> tuple[torch.Tensor, None]:
    """Attend as ``tree_attention`` does, with what differs from layer to layer.

    Args:
        module: The attention layer.
        query: [1, heads, T, D].
        *args: Passed on.
        places: How many tokens each has before it in its own sequence, int64 [T].
        **more: Passed on.
    """
    config = module.config
    if config.attn_temperature_tuning and not module.use_rope:
        sharpness = 1 + config.attn_scale * torch.log1p(torch.floor((places + 1.0) / config.floor_scale))
        query = (query * sharpness[:, None]).to(query.dtype)
    chunked = config.layer_types[module.layer_idx] == "chunked_attention"
    return tree_attention(module, query, *args, chunk=config.attention_chunk_size if chunked else None, **more)
