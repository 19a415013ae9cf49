"""Floating-point operations of matrix products, counted from a model's configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen

COUNTED = ("qwen3_vl",)
"""The ``model_type`` values whose operations are counted."""


@frozen
class Flops:
    """What the parts of a model cost, in floating-point operations: two for each multiply-and-add.

    Norms, activations and the softmax are no matrix products and not counted.

    Args:
        token: One token through the language model, but for attention and the head.
        pair: One token that attends to one, all layers together.
        row: The logits of one token.
        patch: One image patch through the vision tower.
        patch_pair: One patch that attends to one, all layers together.
        merged: The projection of one visual token, deep features included.
        merge: Patches that become one visual token.
    """

    token: int
    pair: int
    row: int
    patch: int
    patch_pair: int
    merged: int
    merge: int

    @classmethod
    def of(cls, config: Any) -> Flops | None:
        """Count the operations of a model from its transformers configuration; None for types not in ``COUNTED``."""
        if config.model_type not in COUNTED:
            return None
        text, vision = config.text_config, config.vision_config
        attending = text.num_attention_heads * text.head_dim
        layer = 2 * attending + 2 * text.num_key_value_heads * text.head_dim + 3 * text.intermediate_size
        width, merge = vision.hidden_size, vision.spatial_merge_size**2
        pixels = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
        projection = merge * width * (merge * width + vision.out_hidden_size)
        return cls(
            token=2 * text.num_hidden_layers * text.hidden_size * layer,
            pair=4 * text.num_hidden_layers * attending,
            row=2 * text.hidden_size * text.vocab_size,
            patch=2 * width * (pixels + vision.depth * (4 * width + 2 * vision.intermediate_size)),
            patch_pair=4 * vision.depth * width,
            merged=2 * projection * (1 + len(vision.deepstack_visual_indexes)),
            merge=merge,
        )

    def language(self, tokens: int, pairs: int, rows: int) -> int:
        """Return the operations of tokens, of pairs that attend, and of rows of logits."""
        return tokens * self.token + pairs * self.pair + rows * self.row

    def vision(self, patches: Sequence[int]) -> int:
        """Return the operations of images of so many patches each."""
        return sum(
            count * self.patch + count**2 * self.patch_pair + count // self.merge * self.merged for count in patches
        )
