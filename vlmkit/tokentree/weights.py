"""Attention weights, which no fast path holds, for whoever wants to look at them: some queries at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from attrs import evolve, frozen

from vlmkit.errors import BackendError, ModelError
from vlmkit.local.masking import TEXT, image_of
from vlmkit.tokentree.layout import Bucket, Reach
from vlmkit.tokentree.packing import Row, pack
from vlmkit.types import Image

if TYPE_CHECKING:
    from vlmkit.tokentree.trunks import Trunks

WEIGHTS_AT_ONCE = 2**24
"""Most attention weights (heads x t x s) that are held at once: 64 MiB."""


@frozen(eq=False)
class Weights:
    """What some tokens of a prompt attend to in one layer.

    Args:
        layer: The layer, counted from 0.
        queries: The tokens, int64 [t].
        keys: What they may see, int64 [s].
        weights: Shares that sum to 1 over the keys, float32 [heads, t, s].
        seen: Which of the keys each token sees, bool [t, s].
    """

    layer: int
    queries: torch.Tensor
    keys: torch.Tensor
    weights: torch.Tensor
    seen: torch.Tensor


Observer = Callable[[Weights], None]
"""Takes what some tokens attend to; every token of a prompt comes once in each layer."""

Begin = Callable[[torch.Tensor], Observer]
"""Makes the observer of a prompt of the index of the image of each visual token, -1 for all others, int64 [T]."""


def weigh(
    layer: int,
    query: torch.Tensor,
    keys: torch.Tensor,
    bucket: Bucket,
    reach: Reach,
    scaling: float | None,
    observer: Observer,
) -> None:
    """Hand an observer the weights of a bucket.

    Args:
        layer: The layer.
        query: Of all packed tokens, [T, heads, D].
        keys: Of the past and of all packed tokens, [P, H, D].
        bucket: Which of them.
        reach: How far the layer sees.
        scaling: Factor on the scores; None for the usual one.
        observer: Told the weights.
    """
    grouped = query.shape[1] // keys.shape[1]
    width = max(1, WEIGHTS_AT_ONCE // (query.shape[1] * bucket.keys.shape[1]))
    for row in range(len(bucket.queries)):
        known = keys[bucket.keys[row]].float().transpose(0, 1).repeat_interleave(grouped, dim=0)
        for columns in torch.split(bucket.real[row].nonzero()[:, 0], width):
            read = torch.full((len(bucket.queries), len(columns)), -1, device=columns.device)
            read[row] = columns
            bias = evolve(bucket, read=read).narrowed().bias(reach, torch.float32)
            assert bias is not None
            asking = bucket.queries[row, columns]
            scores = query[asking].float().transpose(0, 1) @ known.mT * (scaling or query.shape[-1] ** -0.5)
            weights = (scores + bias[row]).softmax(-1)
            observer(Weights(layer, asking, bucket.keys[row], weights, bias[row, 0] == 0))


@torch.inference_mode()
def observe(images: Sequence[Image], text: str, trunks: Trunks, begin: Begin) -> None:
    """Run one prompt through the language model in one forward, its weights handed to an observer.

    Args:
        images: The pictures, in the order shown.
        text: The user's words.
        trunks: The model, ready.
        begin: Makes the observer.

    Raises:
        ModelError: The model's images are no part of its sequence.
        BackendError: Memory runs out.
    """
    family = trunks.family
    alone = len(images) == 1
    pictures = [trunks.pictures.whole(*pair, alone) for pair in zip(images, trunks.pictures.of(images), strict=True)]
    if any(picture.state_bytes for picture in pictures):
        raise ModelError("the model's images are no part of its sequence", hint="look at another model")
    ids = family.expand(family.tokenize([family.chat(text, len(images))])[0], pictures)
    others = torch.tensor(ids, device=family.device) != family.image_token
    spans = image_of(ids, family.image_token, [picture.tokens for picture in pictures])
    observer = begin(torch.tensor(spans, device=family.device).masked_fill(others, TEXT))
    try:
        features = [family.encode([picture])[0] for picture in pictures]
        place, ends = family.positions(ids, pictures), [len(ids)] * len(ids)
        packed = pack([Row(0, ids, ends, place, features=features, starts=trunks.starts(ids))], family.device)
        family.forward(packed.ids, packed.positions, packed.features, evolve(packed.layout, observer=observer))
    except torch.OutOfMemoryError as error:
        raise BackendError(
            f"out of memory with a prompt of {len(ids):,} tokens", hint="show fewer images at once"
        ) from error
    trunks.pictures.encoded(images)
