"""Who attends to whom in a packed forward, and the attention function that obeys it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from attrs import define, field, frozen
from torch.nn.functional import scaled_dot_product_attention

ATTENTION = "vlmkit_tree"
"""Name under which the attention function is registered with transformers."""


@frozen(eq=False)
class KV:
    """Keys and values of consecutive tokens, read-only.

    Args:
        keys: One tensor a layer, [H, P, D], rotary positions applied.
        values: One tensor a layer, [H, P, D].
    """

    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]

    def __len__(self) -> int:
        return int(self.keys[0].shape[1])

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
            tuple(torch.cat([part.keys[layer] for part in parts], dim=1) for layer in layers),
            tuple(torch.cat([part.values[layer] for part in parts], dim=1) for layer in layers),
        )

    def first(self, count: int) -> KV:
        """Return a view on the first ``count`` tokens."""
        return KV(tuple(k[:, :count] for k in self.keys), tuple(v[:, :count] for v in self.values))


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
    _windowed: dict[tuple[int | None, bool], torch.Tensor] = field(factory=dict, init=False)

    def within(self, window: int | None, *, ahead: bool = True) -> torch.Tensor | None:
        """Return the mask where a query sees only keys fewer than ``window`` tokens behind it, or all of them.

        Args:
            window: How many tokens back, the query's own included; None for all.
            ahead: Whether images that see ahead do so.
        """
        if window is None and (ahead or self.mask is None):
            return self.mask
        if (window, ahead) not in self._windowed:
            queries, keys = self.query_places[:, None, :, None], self.key_places[:, None, None, :]
            seen = keys <= queries
            if self.mask is not None:
                seen = self.mask if ahead else self.mask & seen
            self._windowed[window, ahead] = seen if window is None else seen & (keys > queries - window)
        return self._windowed[window, ahead]


@define(eq=False)
class Layout:
    """The structure of one packed forward.

    Args:
        pasts: Distinct pieces of past that rows refer to.
        buckets: All rows.
        capture: Whether keys and values of the packed tokens are kept in ``captured``.
        captured: For every layer the pair of keys and values, each [H, T, D].
        ahead_everywhere: Whether images that see ahead do so in every layer, or in those with a window alone.
    """

    pasts: Sequence[KV]
    buckets: Sequence[Bucket]
    capture: bool = False
    captured: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(factory=dict)
    ahead_everywhere: bool = True

    def cut(self, start: int, stop: int) -> KV:
        """Copy a span out of the captured layers, so that the rest of the forward can be freed."""
        layers = [self.captured[layer] for layer in sorted(self.captured)]
        return KV(
            tuple(keys[:, start:stop].clone() for keys, _ in layers),
            tuple(values[:, start:stop].clone() for _, values in layers),
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
    query, key, value = query[0], key[0], value[0]
    if layout.capture:
        layout.captured[layer] = (key, value)
    keys = torch.cat([*(past.keys[layer] for past in layout.pasts), key], dim=1) if layout.pasts else key
    values = torch.cat([*(past.values[layer] for past in layout.pasts), value], dim=1) if layout.pasts else value
    attended = torch.empty_like(query)
    for bucket in layout.buckets:
        out = _attend(
            query[:, bucket.queries].transpose(0, 1),
            keys[:, bucket.keys].transpose(0, 1),
            values[:, bucket.keys].transpose(0, 1),
            bucket.within(sliding_window, ahead=layout.ahead_everywhere or sliding_window is not None),
            scaling,
        )
        attended[:, bucket.queries[bucket.real]] = out.transpose(0, 1)[:, bucket.real]
    return attended.transpose(0, 1)[None], None


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scaling: float | None
) -> torch.Tensor:
    """Scaled dot-product attention with grouped heads; [B, heads, t, D] of [B, heads, t, D] and [B, H, s, D]."""
    grouped = query.shape[1] // key.shape[1]
    if grouped > 1 and query.is_cuda and mask is not None:
        # The fused CUDA kernels take grouped heads without a mask only.
        key, value = key.repeat_interleave(grouped, dim=1), value.repeat_interleave(grouped, dim=1)
        grouped = 1
    return scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=mask is None, scale=scaling, enable_gqa=grouped > 1
    )
