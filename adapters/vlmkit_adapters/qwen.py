"""Qwen2-VL, Qwen2.5-VL, Qwen3-VL and their mixture-of-experts variants.

What is theirs: M-RoPE positions with three axes, images cut into a grid of patches of their own size, and in Qwen3-VL
DeepStack features that enter the first language-model layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import linear

from vlmkit import Image
from vlmkit.errors import ModelError
from vlmkit.tokentree import Checkpoint, Features, HuggingFaceFamily, Layout, Picture, open_family


class QwenFamily(HuggingFaceFamily):
    """A loaded Qwen-VL model."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        if "sliding_attention" in (getattr(self.model.config.get_text_config(), "layer_types", None) or ()):
            raise ModelError(
                f"model {checkpoint.model} uses sliding-window attention",
                hint="set use_sliding_window to false in its config",
            )
        _embed_patches_by_product(self.vision_tower.get_submodule("patch_embed.proj"))

    def picture(self, image: Image, alone: bool) -> Picture:
        """Prepare one image: ``pixel_values`` [patches, values], ``image_grid_thw`` [1, 3]."""
        prepared = self.processor.image_processor(images=[image.pixels], return_tensors="pt")
        merged = int(prepared["image_grid_thw"].prod()) // self.model.config.vision_config.spatial_merge_size**2
        return Picture(image.digest, merged, {key: prepared[key] for key in ("pixel_values", "image_grid_thw")})

    @torch.inference_mode()
    def encode(self, pictures: Sequence[Picture]) -> Sequence[Features]:
        """Run the vision tower over all patches of all pictures at once."""
        pixels = torch.cat([picture.inputs["pixel_values"] for picture in pictures])
        grids = torch.cat([picture.inputs["image_grid_thw"] for picture in pictures])
        out = self.model.model.get_image_features(pixels.to(self.device), grids.to(self.device))
        # Older releases of transformers leave the deep features of all pictures in one tensor.
        sizes = [picture.tokens for picture in pictures]
        deep = [
            torch.split(level, sizes) if isinstance(level, torch.Tensor) else level
            for level in getattr(out, "deepstack_features", None) or ()
        ]
        return [
            Features(embeds, tuple(level[index] for level in deep)) for index, embeds in enumerate(out.pooler_output)
        ]

    def positions(self, ids: Sequence[int], pictures: Sequence[Picture]) -> torch.Tensor:
        """Return M-RoPE positions (time, height, width), int64 [3, len(ids)]."""
        tokens = torch.tensor([list(ids)])
        grids = torch.cat([picture.inputs["image_grid_thw"] for picture in pictures]) if pictures else None
        places, _ = self.model.model.get_rope_index(
            tokens, mm_token_type_ids=(tokens == self.image_token).int(), image_grid_thw=grids
        )
        positions: torch.Tensor = places[:, 0]
        return positions

    def forward(
        self, ids: torch.Tensor, positions: torch.Tensor, features: Sequence[Features], layout: Layout
    ) -> torch.Tensor:
        """Return hidden states, [T, hidden]."""
        extra = {}
        if features and features[0].deep:
            levels = zip(*(one.deep for one in features), strict=True)
            extra = {
                "visual_pos_masks": (ids == self.image_token)[None],
                "deepstack_visual_embeds": [torch.cat(level) for level in levels],
            }
        out = self.model.model.language_model(
            inputs_embeds=self.embed(ids, features),
            position_ids=positions[:, None],
            use_cache=False,
            layout=layout,
            **extra,
        )
        hidden: torch.Tensor = out.last_hidden_state[0]
        return hidden


def _embed_patches_by_product(convolution: Any) -> None:
    """Make a convolution that takes one patch at a time the matrix product that it is.

    In bfloat16 torch computes it several times as fast.
    """

    def product(patches: torch.Tensor) -> torch.Tensor:
        return linear(patches.flatten(1), convolution.weight.flatten(1), convolution.bias)

    convolution.forward = product


qwen = open_family(QwenFamily)
"""Opens a Qwen-VL checkpoint."""
