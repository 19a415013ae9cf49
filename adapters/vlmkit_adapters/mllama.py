"""Llama 3.2 Vision.

What is theirs: images are no part of the sequence. Some layers attend to their states instead, which are made once an
image; the one token that stands for an image only says from where on it is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch

from vlmkit import Image
from vlmkit.tokentree import KV, Checkpoint, Features, HuggingFaceFamily, Layout, Picture, Sight

_INPUTS = ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")


class MllamaFamily(HuggingFaceFamily):
    """A loaded Llama 3.2 Vision model."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        self._crossings: Mapping[int, Any] = {
            layer: self.layers[layer].cross_attn for layer in self.model.config.text_config.cross_attention_layers
        }

    @cached_property
    def _layer_bytes(self) -> int:
        """Bytes that the key and value of one token or visual state take in one layer."""
        config = self.model.config.text_config
        size = config.hidden_size // config.num_attention_heads
        return int(2 * config.num_key_value_heads * size * self.checkpoint.torch_dtype.itemsize)

    @cached_property
    def kv_bytes(self) -> int:
        """Bytes that the keys and values of one token take, all layers of self-attention together."""
        layers = int(self.model.config.text_config.num_hidden_layers)
        return (layers - len(self._crossings)) * self._layer_bytes

    def picture(self, image: Image, alone: bool) -> Picture:
        """Prepare one image.

        ``pixel_values`` [1, 1, tiles, channels, height, width], tiles padded to the most that there can be;
        ``aspect_ratio_ids`` [1, 1]; ``aspect_ratio_mask`` [1, 1, tiles], 1 for a tile that is none of the padding.
        """
        prepared = self.processor.image_processor(images=[[image.pixels]], return_tensors="pt")
        states = prepared["aspect_ratio_mask"].numel() * self.model.model.vision_model.num_patches
        size = states * len(self._crossings) * self._layer_bytes
        return Picture(image.digest, 1, {name: prepared[name] for name in _INPUTS}, size)

    @torch.inference_mode()
    def encode(self, pictures: Sequence[Picture]) -> Sequence[Features]:
        """Run the vision tower; the states are in two pieces, those of an image's own tiles and of its padding."""
        core = self.model.model
        inputs = {name: torch.cat([picture.inputs[name] for picture in pictures]).to(self.device) for name in _INPUTS}
        states = core.multi_modal_projector(core.vision_model(**inputs).last_hidden_state).flatten(1, 3)
        placed = states.new_empty(0, states.shape[-1])
        features = []
        for index, tiles in enumerate(inputs["aspect_ratio_mask"].flatten(1).sum(1).tolist()):
            own = tiles * core.vision_model.num_patches
            features.append(Features(placed, states=(states[index, :own].clone(), states[index, own:].clone())))
        return features

    def stages(
        self, states: torch.Tensor, pictures: Sequence[Picture], features: Sequence[Features]
    ) -> Sequence[tuple[torch.Tensor, torch.Tensor]]:
        """Return what left the vision tower and what left the projector for each picture, tiles of padding left out."""
        encoded = [
            one[0, : int(picture.inputs["aspect_ratio_mask"].sum())].flatten(0, 1)
            for one, picture in zip(states, pictures, strict=True)
        ]
        return [(one, self.model.model.multi_modal_projector(one)) for one in encoded]

    @torch.inference_mode()
    def sights(self, ids: Sequence[int], features: Sequence[Features]) -> Sequence[Sight]:
        """Return what every token sees, by the processor's rules.

        A token sees the images of the group that it stands in or behind. Tokens before every image see all images, and
        their padding too, as in transformers.
        """
        from transformers.models.mllama.processing_mllama import (
            convert_sparse_cross_attention_mask_to_dense,
            get_cross_attention_token_mask,
        )

        if not features:
            return ()
        spans = get_cross_attention_token_mask(list(ids), self.image_token)
        # As if every image were one tile: its own tiles are one piece here.
        masks = convert_sparse_cross_attention_mask_to_dense([spans], [[1] * len(features)], 1, len(ids))
        made = [[self._keys_and_values(states) for states in one.states] for one in features]
        every = Sight([piece for pieces in made for piece in pieces], before_images=True)
        known: dict[tuple[int, ...], Sight] = {(0,) * len(features): every}
        sights = []
        for mask in map(tuple, masks[0, :, :, 0].tolist()):
            if mask not in known:
                known[mask] = Sight([pieces[0] for pieces, seen in zip(made, mask, strict=True) if seen])
            sights.append(known[mask])
        return sights

    def forward(
        self, ids: torch.Tensor, positions: torch.Tensor, features: Sequence[Features], layout: Layout
    ) -> torch.Tensor:
        """Return hidden states, [T, hidden]."""
        embeds = self.embed(ids, ())
        images = {}
        if layout.sights:
            behind = torch.zeros(len(ids), dtype=torch.bool, device=self.device)
            for sight, tokens in layout.sights.items():
                behind[tokens] = not sight.before_images
            images = {
                # Their keys and values are made: without states of their own, the layers bring no others.
                "cross_attention_states": embeds[:, :0],
                "full_text_row_masked_out_mask": behind[None, None, :, None],
            }
        out = self.model.model.language_model(
            inputs_embeds=embeds, position_ids=positions, use_cache=False, layout=layout, **images
        )
        hidden: torch.Tensor = out.last_hidden_state[0]
        return hidden

    def _keys_and_values(self, states: torch.Tensor) -> KV:
        """Project visual states, [S, hidden], in every layer that sees them."""
        keys, values = {}, {}
        for layer, module in self._crossings.items():
            heads = (module.num_key_value_heads, module.head_dim)
            keys[layer] = module.k_norm(module.k_proj(states).unflatten(-1, heads))
            values[layer] = module.v_proj(states).unflatten(-1, heads)
        return KV(keys, values)
