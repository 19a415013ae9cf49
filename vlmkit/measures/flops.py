"""Matrix-multiply FLOPs of vision-language models, from the numbers of their configuration alone.

One multiplication and one addition are two FLOPs. Counted are matrix products: projections, attention, feed-forward,
the rows of the output layer that are read. Left out are norms, activations, softmax, rotary positions, and, outside of
Qwen-VL, the projector between the two parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

_DENSE = (
    *("qwen2", "qwen2_vl_text", "qwen2_5_vl_text", "qwen3", "qwen3_vl_text"),
    *("gemma3_text", "llama", "mistral"),
)
"""Language models of gated feed-forward layers, all of one size."""

_EXPERTS = ("qwen3_vl_moe_text",)
"""Those of mixtures of gated experts in every layer."""

_QWEN = ("qwen2_vl", "qwen2_vl_vision", "qwen2_5_vl", "qwen2_5_vl_vision")
_QWEN3 = ("qwen3_vl", "qwen3_vl_vision", "qwen3_vl_moe", "qwen3_vl_moe_vision")
_PLAIN = ("clip_vision_model", "siglip_vision_model", "internvl_vision")


@frozen
class TextShape:
    """A language model in numbers.

    Args:
        layers: Number of layers.
        hidden: Size of the hidden state.
        queries: Query heads times head size.
        keys: Key heads times head size.
        feed_forward: Inner size of the feed-forward, summed over the experts that a token goes through.
        experts: Experts that a router chooses from; 0 without a router.
        vocabulary: Rows of the output layer.
    """

    layers: int
    hidden: int
    queries: int
    keys: int
    feed_forward: int
    experts: int
    vocabulary: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> TextShape | None:
        """Return the shape of a transformers text configuration, or None for an architecture that is not known."""
        kind, heads, hidden = config.get("model_type"), config.get("num_attention_heads"), config.get("hidden_size")
        if kind not in (*_DENSE, *_EXPERTS) or not heads or not hidden:
            return None
        size = config.get("head_dim") or hidden // heads
        experts, inner = 0, config["intermediate_size"]
        if kind in _EXPERTS:
            if config.get("decoder_sparse_step", 1) != 1 or config.get("mlp_only_layers"):
                return None
            # Releases of transformers name it differently.
            experts = config.get("num_experts") or config["num_local_experts"]
            inner = config["num_experts_per_tok"] * config["moe_intermediate_size"]
        return cls(
            layers=config["num_hidden_layers"],
            hidden=hidden,
            queries=heads * size,
            keys=config["num_key_value_heads"] * size,
            feed_forward=inner,
            experts=experts,
            vocabulary=config["vocab_size"],
        )

    @property
    def per_token(self) -> int:
        """FLOPs of one token in all layers, attention between tokens left out."""
        attention = 2 * self.queries + 2 * self.keys
        return 2 * self.layers * self.hidden * (attention + 3 * self.feed_forward + self.experts)

    @property
    def per_pair(self) -> int:
        """FLOPs of one token that attends to one key, in all layers: its score, and its share of the values."""
        return 4 * self.layers * self.queries

    def flops(self, tokens: int, pairs: int, read: int) -> int:
        """Return the FLOPs of forwards.

        Args:
            tokens: Tokens through the model.
            pairs: Pairs of a token and a key that it sees.
            read: Positions whose logits are computed.
        """
        return tokens * self.per_token + pairs * self.per_pair + read * 2 * self.hidden * self.vocabulary


@frozen
class VisionShape:
    """A vision tower in numbers.

    Args:
        layers: Number of layers.
        hidden: Size of the hidden state.
        feed_forward: Inner size of the feed-forward.
        matrices: Matrices of one feed-forward: 3 if it is gated, else 2.
        patch: Values of one patch.
        merged: Patches that become one visual token in a merger that is counted; 0 for none.
        mergers: Mergers that every patch goes through.
        out: Size of a visual token.
    """

    layers: int
    hidden: int
    feed_forward: int
    matrices: int
    patch: int
    merged: int = 0
    mergers: int = 0
    out: int = 0

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> VisionShape | None:
        """Return the shape of a transformers vision configuration, or None for an architecture that is not known."""
        kind = config.get("model_type")
        if kind in _PLAIN:
            side = config["patch_size"]
            height, width = side if isinstance(side, list | tuple) else (side, side)
            patch = config.get("num_channels", 3) * height * width
            return cls(config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"], 2, patch)
        if kind not in (*_QWEN, *_QWEN3):
            return None
        patch = config.get("in_channels", 3) * config["temporal_patch_size"] * config["patch_size"] ** 2
        merged, out = config["spatial_merge_size"] ** 2, config.get("out_hidden_size") or config["hidden_size"]
        if "embed_dim" in config:  # Qwen2-VL, where hidden_size is that of the language model
            hidden = config["embed_dim"]
            inner = int(hidden * config["mlp_ratio"])
            return cls(config["depth"], hidden, inner, 2, patch, merged, 1, config["hidden_size"])
        matrices = 2 if kind in _QWEN3 else 3
        mergers = 1 + len(config.get("deepstack_visual_indexes") or ())
        return cls(
            config["depth"], config["hidden_size"], config["intermediate_size"], matrices, patch, merged, mergers, out
        )

    def flops(self, tiles: int, patches: int) -> int:
        """Return the FLOPs of one image, every patch of a tile attending to all of them.

        Args:
            tiles: Pieces that the image is cut into.
            patches: Patches of each.
        """
        layer = 8 * self.hidden**2 + 2 * self.matrices * self.hidden * self.feed_forward
        attention = 4 * self.hidden * patches
        wide = self.hidden * self.merged
        merger = 2 * wide * (wide + self.out) // self.merged if self.merged else 0
        each = 2 * self.patch * self.hidden + self.layers * (layer + attention) + self.mergers * merger
        return tiles * patches * each


def tournament_work(labels: int, group_size: int, fixed: float, each: float) -> float:
    """Return the squared-attention proxy of a tournament: ``(N - 1) / (B - 1) * (l0 + a * B) ** 2``.

    It counts the pairs of tokens of every question as if nothing were shared between questions.

    Args:
        labels: N, labels in all.
        group_size: B, labels in one question, at least 2.
        fixed: l0, tokens of a prompt without its labels, those of the image included.
        each: a, tokens of one label in the prompt.

    Source: arXiv 2605.24799.
    """
    return (labels - 1) / (group_size - 1) * (fixed + each * group_size) ** 2
