"""Attention by plain matrix products, where those beat torch's kernel, and the vision tower's attention."""

from __future__ import annotations

from itertools import product
from typing import Any

import torch

VISION_ATTENTION = "vlmkit_vision"
"""Name under which the vision tower's attention function is registered with transformers."""

SCORES_AT_ONCE = 2**23
"""Attention scores (heads x B x t x s) that are held at once: 16 MiB in bfloat16. Smaller steps make threads wait."""

ROWS_MULTIPLE = 8
"""Rows are taken so many at once, or a multiple of it, so that threads get even shares."""

FEWEST_QUERIES = 256
"""Queries that are taken together however many keys they have: fewer waste the products' time."""


def register_vision_attention() -> None:
    """Make ``VISION_ATTENTION`` known to transformers, with masks as for its own ``sdpa``."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(VISION_ATTENTION, vision_attention)
    AttentionMaskInterface.register(VISION_ATTENTION, sdpa_mask)


def vision_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attend as transformers' ``sdpa`` does, by products where these are faster and everything is seen.

    Args:
        module: The attention layer.
        query: [B, heads, t, D].
        key: [B, H, s, D].
        value: As ``key``.
        attention_mask: What is seen; None for everything.
        scaling: Factor on the scores; None for the usual one.
        options: Whatever else ``sdpa`` takes.

    Returns:
        The attended values, [B, t, heads, D], and None.
    """
    causal = options.get("is_causal")
    if causal is None:
        causal = getattr(module, "is_causal", True)
    everything = attention_mask is None and not causal and options.get("position_bias") is None
    if everything and products_are_faster(query):
        attended = attend_by_products(query, key, value, None, scaling or query.shape[-1] ** -0.5)
        return attended.transpose(1, 2), None
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    seen: tuple[torch.Tensor, None] = sdpa_attention_forward(
        module, query, key, value, attention_mask, scaling=scaling, **options
    )
    return seen


def products_are_faster(query: torch.Tensor) -> bool:
    """Whether plain products beat torch's kernel, which on a CPU computes bfloat16 with float32 units."""
    return query.device.type == "cpu" and query.dtype == torch.bfloat16


def attend_by_products(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor | None, scaling: float
) -> torch.Tensor:
    """Attend with two matrix products and a softmax, some scores at a time.

    Args:
        query: [B, heads, t, D].
        key: [B, H, s, D]; cheapest where its memory has heads outside of rows.
        value: As ``key``.
        bias: What is added to the scores, [B, 1, t, s]; None for nothing.
        scaling: Factor on the scores.

    Returns:
        The attended values, [B, heads, t, D].
    """
    rows, heads, width, size = query.shape
    groups, depth = key.shape[1:3]
    shared = heads // groups
    keys, values = key.transpose(0, 1), value.transpose(0, 1)
    queries = query.view(rows, groups, shared, width, size).transpose(0, 1)
    attended = query.new_empty(rows, width, groups, shared, size).permute(2, 0, 3, 1, 4)
    columns_at_once = min(width, max(FEWEST_QUERIES, SCORES_AT_ONCE // (shared * depth)))
    most = max(1, SCORES_AT_ONCE // (shared * columns_at_once * depth))
    most = most // ROWS_MULTIPLE * ROWS_MULTIPLE or most
    heads_at_once, rows_at_once = max(1, most // rows), min(most, rows)
    for head, row, column in product(
        range(0, groups, heads_at_once), range(0, rows, rows_at_once), range(0, width, columns_at_once)
    ):
        some = slice(head, head + heads_at_once), slice(row, row + rows_at_once)
        columns = slice(column, column + columns_at_once)
        asking = queries[some][..., columns, :]
        scores = asking.new_empty(*asking.shape[:-1], depth)
        if bias is not None:
            scores.copy_(bias[some[1], :, columns])
        flat, known = asking.flatten(0, 1).flatten(1, 2), keys[some].flatten(0, 1)
        # With beta=0 what the memory held before is not read, not even what is not a number.
        scores = scores.view(*flat.shape[:2], depth).baddbmm_(
            flat, known.mT, beta=0 if bias is None else 1, alpha=scaling
        )
        weights = scores.softmax(-1)
        attended[some][..., columns, :] = (weights @ values[some].flatten(0, 1)).view(asking.shape)
    return attended.permute(1, 0, 2, 3, 4).flatten(1, 2)
