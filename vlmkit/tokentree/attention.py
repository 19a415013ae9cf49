"""Who attends to whom in a packed forward, and the attention function that obeys it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from attrs import define, field, frozen
from torch.nn.functional import scaled_dot_product_attention

from vlmkit.types.tuples import as_tuple

ATTENTION = "vlmkit_tree"
"""Name under which the attention function is registered with transformers."""


@frozen(eq=False)
class KV:
    """Keys and values of consecutive tokens or of visual states, read-only.

    Args:
        keys: By layer, each [H, P, D], rotary positions applied.
        values: By layer, each [H, P, D].
    """

    keys: Mapping[int, torch.Tensor]
    values: Mapping[int, torch.Tensor]

    def __len__(self) -> int:
        return int(next(iter(self.keys.values())).shape[1])

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return sum(tensor.nbytes for tensor in (*self.keys.values(), *self.values.values()))

    @classmethod
    def joined(cls, parts: Sequence[KV]) -> KV:
        """Return the parts end to end."""
        if len(parts) == 1:
            return parts[0]
        layers = parts[0].keys
        return cls(
            {layer: torch.cat([part.keys[layer] for part in parts], dim=1) for layer in layers},
            {layer: torch.cat([part.values[layer] for part in parts], dim=1) for layer in layers},
        )

    def first(self, count: int) -> KV:
        """Return a view on the first ``count`` tokens."""
        return KV(
            {layer: keys[:, :count] for layer, keys in self.keys.items()},
            {layer: values[:, :count] for layer, values in self.values.items()},
        )


@frozen(eq=False)
class Sight:
    """What tokens see by cross-attention: visual states, which are no part of any sequence.

    Args:
        states: Pieces of visual states, in the layers of cross-attention alone; all are seen.
        before_images: Whether the tokens stand before every image of their prompt.
    """

    states: tuple[KV, ...] = field(converter=as_tuple)
    before_images: bool = False

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return sum(piece.nbytes for piece in self.states)


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
    _narrowed: dict[tuple[int | None, int | None], torch.Tensor] = field(factory=dict, init=False)

    def within(self, window: int | None, chunk: int | None) -> torch.Tensor | None:
        """Return the mask where a query sees fewer keys.

        Args:
            window: It sees only those fewer than so many tokens behind it; None for all.
            chunk: It sees only those in its own stretch of so many tokens; None for all.
        """
        if all(limit is None or limit >= self.keys.shape[1] for limit in (window, chunk)):
            return self.mask
        if (window, chunk) not in self._narrowed:
            queries, keys = self.query_places[:, None, :, None], self.key_places[:, None, None, :]
            seen = keys <= queries if self.mask is None else self.mask
            if window is not None:
                seen = seen & (keys > queries - window)
            if chunk is not None:
                seen = seen & (keys // chunk == queries // chunk)
            self._narrowed[window, chunk] = seen
        return self._narrowed[window, chunk]


@define(eq=False)
class Layout:
    """The structure of one packed forward.

    Args:
        pasts: Distinct pieces of past that rows refer to.
        buckets: All rows.
        sights: Index of the tokens that see each, int64; empty in families without cross-attention.
        capture: Whether keys and values of the packed tokens are kept in ``captured``.
        captured: For every layer the pair of keys and values, each [H, T, D].
    """

    pasts: Sequence[KV]
    buckets: Sequence[Bucket]
    sights: Mapping[Sight, torch.Tensor] = field(factory=dict)
    capture: bool = False
    captured: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(factory=dict)

    def cut(self, start: int, stop: int) -> KV:
        """Copy a span out of the captured layers, so that the rest of the forward can be freed."""
        return KV(
            {layer: keys[:, start:stop].clone() for layer, (keys, _) in self.captured.items()},
            {layer: values[:, start:stop].clone() for layer, (_, values) in self.captured.items()},
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
        chunk: Length of the stretches of a sequence that do not see each other; None for one stretch.

    Returns:
        The attended values, [1, T, heads, D], and None.
    """
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    query, key, value = query[0], key[0], value[0]
    if not key.shape[1]:
        return _cross_attention(layer, query, layout, scaling).transpose(0, 1)[None], None
    if layout.capture:
        layout.captured[layer] = (key, value)
    keys = torch.cat([*(past.keys[layer] for past in layout.pasts), key], dim=1) if layout.pasts else key
    values = torch.cat([*(past.values[layer] for past in layout.pasts), value], dim=1) if layout.pasts else value
    attended = torch.empty_like(query)
    for bucket in layout.buckets:
        mask = bucket.within(sliding_window, chunk)
        out = _attend(
            query[:, bucket.queries].transpose(0, 1),
            keys[:, bucket.keys].transpose(0, 1),
            values[:, bucket.keys].transpose(0, 1),
            mask,
            scaling,
            causal=mask is None,
        )
        attended[:, bucket.queries[bucket.real]] = out.transpose(0, 1)[:, bucket.real]
    return attended.transpose(0, 1)[None], None


def _cross_attention(layer: int, query: torch.Tensor, layout: Layout, scaling: float | None) -> torch.Tensor:
    """Attend to visual states; zero for tokens that see none, [heads, T, D]."""
    attended = torch.zeros_like(query)
    for sight, tokens in layout.sights.items():
        keys = torch.cat([piece.keys[layer] for piece in sight.states], dim=1)
        values = torch.cat([piece.values[layer] for piece in sight.states], dim=1)
        attended[:, tokens] = _attend(query[None, :, tokens], keys[None], values[None], None, scaling, causal=False)[0]
    return attended


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float | None,
    *,
    causal: bool,
) -> torch.Tensor:
    """Scaled dot-product attention with grouped heads; [B, heads, t, D] of [B, heads, t, D] and [B, H, s, D]."""
    grouped = query.shape[1] // key.shape[1]
    if grouped > 1 and query.is_cuda and mask is not None:
        # The fused CUDA kernels take grouped heads without a mask only.
        key, value = key.repeat_interleave(grouped, dim=1), value.repeat_interleave(grouped, dim=1)
        grouped = 1
    return scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=causal, scale=scaling, enable_gqa=grouped > 1
    )
