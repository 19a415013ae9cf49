"""Matrix-multiply FLOPs of vision-language models, from the numbers of their configuration alone.

One multiplication and one addition are two FLOPs. Counted are matrix products: projections, attention, feed-forward,
the rows of the output layer that are read. Left out are norms, activations, softmax, rotary positions, and, outside of
Qwen-VL and Llama 4, what brings visual states to the size of tokens. Of a mixture of experts those are counted that a
token is sent to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, field, frozen

from vlmkit.types.tuples import as_tuple

_DENSE = (
    *("qwen2", "qwen2_vl_text", "qwen2_5_vl_text", "qwen3", "qwen3_vl_text"),
    *("gemma3_text", "llama", "mistral"),
)
"""Language models of gated feed-forward layers, all alike."""

_EXPERTS = ("qwen3_vl_moe_text",)
"""Those of mixtures of gated experts in every layer."""

_UNLIKE = ("mllama_text_model", "llama4_text", "gemma4_text")
"""Those whose layers differ."""

_QWEN = ("qwen2_vl", "qwen2_vl_vision", "qwen2_5_vl", "qwen2_5_vl_vision")
_QWEN3 = ("qwen3_vl", "qwen3_vl_vision", "qwen3_vl_moe", "qwen3_vl_moe_vision")
_GATED = ("qwen2_5_vl", "qwen2_5_vl_vision")
_PLAIN = ("clip_vision_model", "siglip_vision_model", "internvl_vision")


@frozen
class Layer:
    """A decoder layer in multiply-adds.

    Args:
        inputs: A token's keys and values, which others attend to.
        outputs: All else that is computed of a token by itself: its queries, output projection, feed-forward, router.
        queries: Query heads times head size: a token's score for one key, and again its share of the value.
        state: The key and the value of a visual state, in a layer that attends to these alone; 0 in others.
    """

    inputs: int
    outputs: int
    queries: int
    state: int = 0


@frozen
class TextShape:
    """A language model in numbers.

    Args:
        hidden: Size of the hidden state.
        vocabulary: Rows of the output layer.
        layers: The decoder layers.
        before: Multiply-adds of a token before the first of them.
    """

    hidden: int
    vocabulary: int
    layers: tuple[Layer, ...] = field(converter=as_tuple)
    before: int = 0

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> TextShape | None:
        """Return the shape of a transformers text configuration, or None for an architecture that is not known."""
        layers, before = _layers(config), 0
        if layers is None:
            return None
        if config["model_type"] == "gemma4_text":
            before = config["hidden_size"] * len(layers) * (config.get("hidden_size_per_layer_input") or 0)
        return cls(config["hidden_size"], config["vocab_size"], layers, before)

    def flops(
        self,
        tokens: int,
        pairs: int,
        read: int,
        *,
        unfinished: int = 0,
        unfinished_pairs: int = 0,
        seen: int = 0,
        states: int = 0,
    ) -> int:
        """Return the FLOPs of forwards.

        Args:
            tokens: Tokens through the model.
            pairs: Pairs of a token and a key that it sees.
            read: Positions whose logits are computed.
            unfinished: Tokens of which the last layer computes keys and values alone: nothing reads more.
            unfinished_pairs: Those of ``pairs`` in which such a token sees a key.
            seen: Pairs of a token and a visual state that it sees.
            states: Visual states.
        """
        per_token = self.before + sum(layer.inputs + layer.outputs for layer in self.layers)
        attending = [layer.queries for layer in self.layers if not layer.state]
        crossing = [layer.queries for layer in self.layers if layer.state]
        last = self.layers[-1]
        products = (
            tokens * per_token
            - unfinished * last.outputs
            + 2 * pairs * sum(attending)
            - 2 * unfinished_pairs * last.queries
            + 2 * seen * sum(crossing)
            + states * sum(layer.state for layer in self.layers)
            + read * self.hidden * self.vocabulary
        )
        return 2 * products


def _layers(config: Mapping[str, Any]) -> Sequence[Layer] | None:
    """Return the layers of a text configuration, or None for an architecture that is not known."""
    kind = config.get("model_type")
    if kind not in (*_DENSE, *_EXPERTS, *_UNLIKE):
        return None
    count, hidden = config["num_hidden_layers"], config["hidden_size"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    size = config.get("head_dim") or hidden // heads
    attention = heads * size, kv_heads * size
    inner = config["intermediate_size"]
    if kind in _DENSE:
        return [_layer(hidden, *attention, inner)] * count
    if kind in _EXPERTS:
        if config.get("decoder_sparse_step", 1) != 1 or config.get("mlp_only_layers"):
            return None
        # Releases of transformers name it differently.
        experts = config.get("num_experts") or config["num_local_experts"]
        chosen = config["num_experts_per_tok"] * config["moe_intermediate_size"]
        return [_layer(hidden, *attention, chosen, experts)] * count
    if kind == "mllama_text_model":
        plain = _layer(hidden, *attention, inner)
        crossing = evolve(plain, inputs=0, state=plain.inputs)
        return [crossing if index in config["cross_attention_layers"] else plain for index in range(count)]
    if kind == "llama4_text":
        # One expert is shared by all tokens.
        mixed = _layer(hidden, *attention, (1 + config["num_experts_per_tok"]) * inner, config["num_local_experts"])
        plain = _layer(hidden, *attention, config["intermediate_size_mlp"])
        return [mixed if index in config["moe_layers"] else plain for index in range(count)]
    return [_gemma4_layer(config, index) for index in range(count)]


def _layer(hidden: int, queries: int, keys: int, feed_forward: int, experts: int = 0) -> Layer:
    """Return a layer with a gated feed-forward.

    Args:
        hidden: Size of the hidden state.
        queries: Query heads times head size.
        keys: Key heads times head size.
        feed_forward: Inner size of the feed-forward, summed over the experts that a token goes through.
        experts: Experts that a router chooses from; 0 without a router.
    """
    return Layer(hidden * 2 * keys, hidden * (2 * queries + 3 * feed_forward + experts), queries)


def _gemma4_layer(config: Mapping[str, Any], index: int) -> Layer:
    """Return a layer whose heads have a size of their own, and that may use the keys and values of an earlier one."""
    own = {int(layer): more for layer, more in (config.get("per_layer_config") or {}).items()}.get(index, {})
    hidden, size = config["hidden_size"], own.get("head_dim", config["head_dim"])
    queries = config["num_attention_heads"] * size
    keys = own.get("num_key_value_heads", config["num_key_value_heads"]) * size
    reuses = index >= config["num_hidden_layers"] - config.get("num_kv_shared_layers", 0)
    values_are_keys = config.get("attention_k_eq_v") and config["layer_types"][index] == "full_attention"
    made = 0 if reuses else keys if values_are_keys else 2 * keys
    inner = config["intermediate_size"] * (2 if reuses and config.get("use_double_wide_mlp") else 1)
    experts = 0
    if config.get("enable_moe_block"):
        experts = config["num_experts"]
        inner += config["top_k_experts"] * config["moe_intermediate_size"]
    more = experts + 2 * (config.get("hidden_size_per_layer_input") or 0)
    return Layer(hidden * made, hidden * (2 * queries + 3 * inner + more), queries)


@frozen
class VisionShape:
    """A vision tower in numbers.

    Args:
        hidden: Size of the hidden state.
        layers: Number of layers.
        layer: Multiply-adds of a patch in one of them, attention between patches left out.
        queries: Heads times head size.
        patch: Values of one patch.
        merger: Multiply-adds that bring a patch to the size of tokens, where that is part of the tower.
        extra: Tokens of a tile that are no patches.
        multiple: What the tokens of a tile are padded to a multiple of.
        joined: Whether all tiles attend to each other.
    """

    hidden: int
    layers: int
    layer: int
    queries: int
    patch: int
    merger: int = 0
    extra: int = 0
    multiple: int = 1
    joined: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> VisionShape | None:
        """Return the shape of a transformers vision configuration, or None for an architecture that is not known."""
        kind = config.get("model_type")
        if kind in (*_QWEN, *_QWEN3):
            return cls._qwen(config)
        if kind not in (*_PLAIN, "mllama_vision_model", "llama4_vision_model", "gemma4_vision"):
            return None
        hidden, layers, inner = config["hidden_size"], config["num_hidden_layers"], config["intermediate_size"]
        side = config["patch_size"]
        height, width = side if isinstance(side, list | tuple) else (side, side)
        patch = config.get("num_channels", 3) * height * width
        plain = cls(hidden, layers, 4 * hidden**2 + 2 * hidden * inner, hidden, patch)
        if kind == "mllama_vision_model":
            return evolve(plain, layers=layers + config["num_global_layers"], extra=1, multiple=8, joined=True)
        if kind == "llama4_vision_model":
            wide, out = config["projector_input_dim"], config["projector_output_dim"]
            merger = int((inner * wide + out**2) * config["pixel_shuffle_ratio"] ** 2)
            return evolve(plain, merger=merger, extra=1)
        if kind == "gemma4_vision":
            queries, keys = (config[f"num_{heads}_heads"] * config["head_dim"] for heads in ("attention", "key_value"))
            return evolve(plain, layer=hidden * (2 * queries + 2 * keys + 3 * inner), queries=queries)
        return plain

    @classmethod
    def _qwen(cls, config: Mapping[str, Any]) -> VisionShape:
        patch = config.get("in_channels", 3) * config["temporal_patch_size"] * config["patch_size"] ** 2
        # In Qwen2-VL, hidden_size is that of the language model.
        hidden = config.get("embed_dim") or config["hidden_size"]
        out = config.get("out_hidden_size") or config["hidden_size"]
        matrices = 3 if config["model_type"] in _GATED else 2
        inner = int(hidden * config["mlp_ratio"]) if "embed_dim" in config else config["intermediate_size"]
        wide = hidden * config["spatial_merge_size"] ** 2
        mergers = 1 + len(config.get("deepstack_visual_indexes") or ())
        merger = mergers * hidden * (wide + out)
        return cls(hidden, config["depth"], 4 * hidden**2 + matrices * hidden * inner, hidden, patch, merger)

    def tokens(self, patches: int) -> int:
        """Return the tokens of a tile with so many patches."""
        return patches + self.extra

    def flops(self, tiles: int, patches: int) -> int:
        """Return the FLOPs of one image, every token of a tile attending to all of its tile or of all tiles.

        Args:
            tiles: Pieces that the image is cut into.
            patches: Patches of each.
        """
        tokens = -(-self.tokens(patches) // self.multiple) * self.multiple
        seen = tokens * tiles if self.joined else tokens
        each = self.patch * self.hidden + self.merger
        return 2 * tiles * (patches * each + tokens * self.layers * (self.layer + 2 * self.queries * seen))


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
