"""The attention function that obeys a layout."""

from __future__ import annotations

from typing import Any

import torch
from attrs import evolve
from torch.nn.functional import scaled_dot_product_attention

from vlmkit.local.attention import attend_by_products, products_are_faster
from vlmkit.tokentree.layout import Layout, Reach
from vlmkit.tokentree.received import Watched, attention_received
from vlmkit.tokentree.weights import weigh

ATTENTION = "vlmkit_tree"
"""Name under which the attention function is registered with transformers."""


def register_attention() -> None:
    """Make ``ATTENTION`` known to transformers; done by loaders, never by importing."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, tree_attention)


def tree_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    *,
    layout: Layout,
    sliding_window: int | None = None,
    chunk: int | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend as ``layout`` says; has the signature of transformers' attention functions.

    Args:
        module: The attention layer; its ``layer_idx`` selects the past.
        query: [1, heads, T, D].
        key: [1, H, T, D]; [1, H, 0, D] in a layer of cross-attention, whose keys come with the sights.
        value: As ``key``.
        attention_mask: Ignored, the layout replaces it.
        scaling: Factor on the scores.
        layout: Who attends to whom.
        sliding_window: How many tokens back the layer sees, its own included; None for all.
        chunk: Length of the chunks of a sequence that do not see each other; None for one chunk.

    Returns:
        The attended values, [1, T, heads, D], and None.
    """
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    query, key, value = (one[0].transpose(0, 1) for one in (query, key, value))
    if not len(key):
        return _cross_attention(layer, query, layout, scaling)[None], None
    reach = Reach(sliding_window, chunk, ahead=layout.ahead_everywhere or sliding_window is not None)
    if layout.watched == layer:
        seen = evolve(layout, buckets=layout.at(layer)[0])
        raise Watched(attention_received(query, key, seen, reach, scaling))
    if layout.capture:
        layout.captured[layer] = (key, value)
    keys = torch.cat([*(past.keys[layer] for past in layout.pasts), key]) if layout.pasts else key
    values = torch.cat([*(past.values[layer] for past in layout.pasts), value]) if layout.pasts else value
    attended = []
    buckets, order = layout.at(layer)
    for bucket in buckets:
        if layout.observer is not None:
            weigh(layer, query, keys, bucket, reach, scaling, layout.observer)
        bias = bucket.bias(reach, query.dtype)
        out = _attend(
            _rows(query, bucket.queries),
            _by_head(keys, bucket.keys),
            _by_head(values, bucket.keys),
            bias,
            scaling,
            causal=bias is None,
        )
        attended.append(out.transpose(1, 2).flatten(0, 1))
    attended.append(torch.zeros_like(query[:1]))  # of tokens that are in no bucket
    return torch.cat(attended).index_select(0, order)[None], None


def _rows(tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Gather tokens, [n, heads, D], into rows, [B, heads, t, D], by their places, [B, t]."""
    return tokens.index_select(0, places.flatten()).view(*places.shape, *tokens.shape[1:]).transpose(1, 2)


def _by_head(tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Do the same, with a memory that has heads outside of rows: one head's rows are a batch of a matrix product."""
    heads = tokens.transpose(0, 1).index_select(1, places.flatten())
    return heads.view(-1, *places.shape, tokens.shape[-1]).transpose(0, 1)


def _cross_attention(layer: int, query: torch.Tensor, layout: Layout, scaling: float | None) -> torch.Tensor:
    """Attend to visual states; zero for tokens that see none, [T, heads, D]."""
    attended = torch.zeros_like(query)
    for sight, tokens in layout.sights.items():
        states = (
            torch.cat([piece.keys[layer] for piece in sight.states]),
            torch.cat([piece.values[layer] for piece in sight.states]),
        )
        keys, values = (one.transpose(0, 1)[None] for one in states)
        seen = _attend(query[tokens].transpose(0, 1)[None], keys, values, None, scaling, causal=False)
        attended[tokens] = seen[0].transpose(0, 1)
    return attended


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bias: torch.Tensor | None,
    scaling: float | None,
    *,
    causal: bool,
) -> torch.Tensor:
    """Scaled dot-product attention with grouped heads; [B, heads, t, D] of [B, heads, t, D] and [B, H, s, D]."""
    grouped = query.shape[1] // key.shape[1]
    if bias is not None and products_are_faster(query):
        return attend_by_products(query, key, value, bias, scaling or query.shape[-1] ** -0.5)
    if grouped > 1 and query.is_cuda and bias is not None:
        # The fused CUDA kernels take grouped heads without a mask only.
        key, value = key.repeat_interleave(grouped, dim=1), value.repeat_interleave(grouped, dim=1)
        grouped = 1
    return scaled_dot_product_attention(
        query, key, value, attn_mask=bias, is_causal=causal, scale=scaling, enable_gqa=grouped > 1
    )
