"""Who attends to whom in a packed forward, and the attention function that obeys it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from attrs import define, field, frozen
from torch.nn.functional import scaled_dot_product_attention

ATTENTION = "vlmkit_tree"
"""Name under which the attention function is registered with transformers."""

SCORES_AT_ONCE = 2**21
"""Attention scores (B x heads x t x s) that are held at once where they are held at all: 4 MiB in bfloat16."""


@frozen(eq=False)
class KV:
    """Keys and values of consecutive tokens, read-only.

    Args:
        keys: One tensor a layer, [P, H, D], rotary positions applied.
        values: One tensor a layer, [P, H, D].
    """

    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]

    def __len__(self) -> int:
        return len(self.keys[0])

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return sum(tensor.nbytes for tensor in (*self.keys, *self.values))

    @classmethod
    def joined(cls, parts: Sequence[KV]) -> KV:
        """Return the parts end to end."""
        if len(parts) == 1:
            return parts[0]
        layers = range(len(parts[0].keys))
        return cls(
            tuple(torch.cat([part.keys[layer] for part in parts]) for layer in layers),
            tuple(torch.cat([part.values[layer] for part in parts]) for layer in layers),
        )

    def first(self, count: int) -> KV:
        """Return a view on the first ``count`` tokens."""
        return KV(tuple(k[:count] for k in self.keys), tuple(v[:count] for v in self.values))


@frozen(eq=False)
class Bucket:
    """Rows of like length, computed in one attention call.

    Args:
        queries: Index of every query among the packed tokens, int64 [B, t]; padded with the row's first token.
        keys: Index of every key among all past tokens followed by the packed ones, int64 [B, s].
        mask: Which key each query sees, bool [B, 1, t, s]; None for plain causal rows without a past.
        real: Which queries are no padding, bool [B, t].
        query_places: How many tokens each query has before it in its own sequence, int64 [B, t].
        key_places: The same of every key, int64 [B, s].
    """

    queries: torch.Tensor
    keys: torch.Tensor
    mask: torch.Tensor | None
    real: torch.Tensor
    query_places: torch.Tensor
    key_places: torch.Tensor
    _biases: dict[tuple[int | None, torch.dtype], torch.Tensor] = field(factory=dict, init=False)

    def bias(self, window: int | None, dtype: torch.dtype) -> torch.Tensor | None:
        """Return what is added to the scores, 0 or minus infinity, [B, 1, t, s]; None where causality says it all.

        Args:
            window: A query sees only keys fewer than so many tokens behind it; None for all of them.
            dtype: That of the scores.
        """
        if window is None and self.mask is None:
            return None
        if (window, dtype) not in self._biases:
            seen = self.mask if window is None else self._within(window)
            assert seen is not None
            self._biases[window, dtype] = torch.zeros_like(seen, dtype=dtype).masked_fill(~seen, float("-inf"))
        return self._biases[window, dtype]

    def _within(self, window: int) -> torch.Tensor:
        queries, keys = self.query_places[:, None, :, None], self.key_places[:, None, None, :]
        seen = keys <= queries if self.mask is None else self.mask
        return seen & (keys > queries - window)


@define(eq=False)
class Layout:
    """The structure of one packed forward.

    Args:
        pasts: Distinct pieces of past that rows refer to.
        buckets: All rows.
        capture: Whether keys and values of the packed tokens are kept in ``captured``.
        captured: For every layer the pair of keys and values, each [T, H, D].
        order: Index of every packed token among the padded queries of all buckets, int64 [T].
    """

    pasts: Sequence[KV]
    buckets: Sequence[Bucket]
    capture: bool = False
    captured: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(factory=dict)
    order: torch.Tensor = field(init=False)

    @order.default
    def _order(self) -> torch.Tensor:
        places = torch.cat([bucket.real.flatten() for bucket in self.buckets]).nonzero()[:, 0]
        tokens = torch.cat([bucket.queries.flatten() for bucket in self.buckets])[places]
        return torch.empty_like(places).index_copy(0, tokens, places)

    def cut(self, start: int, stop: int) -> KV:
        """Copy a span out of the captured layers, so that the rest of the forward can be freed."""
        layers = [self.captured[layer] for layer in sorted(self.captured)]
        return KV(
            tuple(keys[start:stop].clone() for keys, _ in layers),
            tuple(values[start:stop].clone() for _, values in layers),
        )


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
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend as ``layout`` says; has the signature of transformers' attention functions.

    Args:
        module: The attention layer; its ``layer_idx`` selects the past.
        query: [1, heads, T, D].
        key: [1, H, T, D].
        value: [1, H, T, D].
        attention_mask: Ignored, the layout replaces it.
        scaling: Factor on the scores.
        layout: Who attends to whom.
        sliding_window: How many tokens back the layer sees, its own included; None for all.

    Returns:
        The attended values, [1, T, heads, D], and None.
    """
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    query, key, value = (one[0].transpose(0, 1) for one in (query, key, value))
    if layout.capture:
        layout.captured[layer] = (key, value)
    keys = torch.cat([*(past.keys[layer] for past in layout.pasts), key]) if layout.pasts else key
    values = torch.cat([*(past.values[layer] for past in layout.pasts), value]) if layout.pasts else value
    attended = [
        _attend(
            _rows(query, bucket.queries),
            _rows(keys, bucket.keys),
            _rows(values, bucket.keys),
            bucket.bias(sliding_window, query.dtype),
            scaling,
        )
        for bucket in layout.buckets
    ]
    padded = torch.cat([out.transpose(1, 2).flatten(0, 1) for out in attended])
    return padded.index_select(0, layout.order)[None], None


def _rows(tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Gather tokens, [n, heads, D], into rows, [B, heads, t, D], by their places, [B, t]."""
    return tokens.index_select(0, places.flatten()).view(*places.shape, *tokens.shape[1:]).transpose(1, 2)


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor | None, scaling: float | None
) -> torch.Tensor:
    """Scaled dot-product attention with grouped heads; [B, heads, t, D] of [B, heads, t, D] and [B, H, s, D]."""
    grouped = query.shape[1] // key.shape[1]
    if query.device.type == "cpu" and query.dtype == torch.bfloat16 and bias is not None:
        return _attend_by_products(query, key, value, bias, scaling or query.shape[-1] ** -0.5)
    if grouped > 1 and query.is_cuda and bias is not None:
        # The fused CUDA kernels take grouped heads without a mask only.
        key, value = key.repeat_interleave(grouped, dim=1), value.repeat_interleave(grouped, dim=1)
        grouped = 1
    return scaled_dot_product_attention(
        query, key, value, attn_mask=bias, is_causal=bias is None, scale=scaling, enable_gqa=grouped > 1
    )


def _attend_by_products(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor, scaling: float
) -> torch.Tensor:
    """Do what ``_attend`` does with plain matrix products: two to three times as fast in bfloat16 on a CPU."""
    rows, heads, width, size = query.shape
    depth = key.shape[2]
    attended = torch.empty(rows, width, heads, size, dtype=query.dtype).transpose(1, 2)
    step = max(1, SCORES_AT_ONCE // (heads * width * depth))
    for start in range(0, rows, step):
        some = slice(start, start + step)
        grouped = (query[some] * scaling).reshape(-1, heads // key.shape[1] * width, size)
        scores = grouped @ key[some].flatten(0, 1).mT
        scores = scores.view(-1, heads, width, depth).add_(bias[some]).softmax(-1)
        out = scores.view(*grouped.shape[:2], depth) @ value[some].flatten(0, 1)
        attended[some] = out.view(-1, heads, width, size)
    return attended
