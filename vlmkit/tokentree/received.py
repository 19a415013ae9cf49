"""How much attention tokens get in one layer."""

from __future__ import annotations

import torch

from vlmkit.tokentree.layout import Layout, Reach

SCORES_AT_ONCE = 2**24
"""Attention scores (B x heads x t x s) that are held at once."""


class Watched(Exception):
    """Ends a forward in the layer that is watched; ``attention`` is float32 [T]."""

    def __init__(self, attention: torch.Tensor) -> None:
        super().__init__("the forward has shown what was to be seen")
        self.attention = attention


def attention_received(
    query: torch.Tensor, key: torch.Tensor, layout: Layout, reach: Reach, scaling: float | None
) -> torch.Tensor:
    """Return what each token gets from the others that see it: the mean over these and over heads, float32 [T].

    Every weight is multiplied by how many keys its query sees: 1 is an even share, wherever a token stands.

    Args:
        query: [T, heads, D].
        key: [T, H, D].
        layout: Who attends to whom; rows without a past.
        reach: How far the layer sees.
        scaling: Factor on the scores.
    """
    scaling = scaling or query.shape[-1] ** -0.5
    received = torch.zeros(2, layout.tokens, device=query.device)
    for bucket in layout.buckets:
        seen = (bucket.seen(reach) & bucket.real[:, None, :, None])[:, 0]
        keys = key[bucket.keys].repeat_interleave(query.shape[1] // key.shape[1], dim=2).float()
        rows, heads, width = len(keys), query.shape[1], bucket.keys.shape[1]
        step = max(1, SCORES_AT_ONCE // (rows * heads * width))
        for start in range(0, seen.shape[1], step):
            some = slice(start, start + step)
            scores = torch.einsum("bthd,bshd->bhts", query[bucket.queries[:, some]].float() * scaling, keys)
            visible = seen[:, some]
            weights = scores.masked_fill(~visible[:, None], float("-inf")).softmax(-1).nan_to_num().mean(1)
            other = visible & (bucket.queries[:, some, None] != bucket.keys[:, None])
            total = (weights * visible.sum(-1, keepdim=True) * other).sum(1)
            for sums, values in zip(received, (total, other.sum(1)), strict=True):
                sums.index_add_(0, bucket.keys.flatten(), values.flatten().float())
    total, count = received
    return torch.where(count > 0, total / count.clamp(min=1), 1.0)
