"""What goes through a model, counted: enough to say what it costs."""

from __future__ import annotations

from math import prod
from typing import Any, cast

import torch
from attrs import define, evolve, field

from vlmkit.measures.flops import TextShape, VisionShape
from vlmkit.tokentree.family import Family, Picture
from vlmkit.tokentree.layout import Layout
from vlmkit.tokentree.packing import Row


@define
class Work:
    """What went, or would have gone, through a model.

    Args:
        tokens: Tokens through the language model.
        pairs: Pairs of a token and a key that it sees, windows left out of account; a number or an int64 tensor.
        read: Positions whose logits are read.
        unfinished: Tokens of which the last layer computes keys and values alone; a number or an int64 tensor.
        unfinished_pairs: Those of ``pairs`` in which such a token sees a key; a number or an int64 tensor.
        seen: Pairs of a token and a visual state that it sees by cross-attention; plans leave them out.
        early: For each forward that ended in a layer, the number of that layer, its tokens and its pairs; none of these
            count above.
        encoded: For each image through the vision tower, the number of its tiles and of the patches of each.
    """

    tokens: int = 0
    pairs: int | torch.Tensor = 0
    read: int = 0
    unfinished: int | torch.Tensor = 0
    unfinished_pairs: int | torch.Tensor = 0
    seen: int = 0
    early: list[tuple[int, int, int | torch.Tensor]] = field(factory=list)
    encoded: list[tuple[int, int]] = field(factory=list)

    def add_row(self, row: Row) -> None:
        """Count a row that would go through the language model."""
        seen = row.seen
        reads = range(len(row)) if row.reads is None else row.reads
        self.tokens += len(row)
        self.pairs += sum(seen)
        self.unfinished += len(row) - len(reads)
        self.unfinished_pairs += sum(seen) - sum(seen[index] for index in reads)

    def add_forward(self, layout: Layout) -> None:
        """Count a forward of the language model."""
        pairs = sum(bucket.pairs for bucket in layout.buckets)
        if layout.watched is not None:
            self.early.append((layout.watched + 1, layout.tokens, pairs))
            return
        last = layout.narrowed()
        self.tokens += layout.tokens
        self.pairs = self.pairs + pairs
        self.unfinished = self.unfinished + layout.tokens - sum(bucket.real.sum() for bucket in last.buckets)
        self.unfinished_pairs = self.unfinished_pairs + pairs - sum(bucket.pairs for bucket in last.buckets)
        self.seen += sum(len(tokens) * sum(map(len, sight.states)) for sight, tokens in layout.sights.items())

    def flops(self, text: TextShape, vision: VisionShape) -> tuple[int, int]:
        """Return the matrix-multiply FLOPs of the language model and of the vision tower."""
        states = sum(tiles * vision.tokens(patches) for tiles, patches in self.encoded)
        shown = sum(vision.flops(*image) for image in self.encoded)
        done = text.flops(
            self.tokens,
            int(self.pairs),
            self.read,
            unfinished=int(self.unfinished),
            unfinished_pairs=int(self.unfinished_pairs),
            seen=self.seen,
            states=states,
        )
        # The layer that is watched counts whole.
        for layer, tokens, pairs in self.early:
            done += evolve(text, layers=text.layers[:layer]).flops(tokens, int(pairs), 0)
        return done, shown


def shapes(config: Any) -> tuple[TextShape | None, VisionShape | None]:
    """Return both parts of a transformers configuration in numbers, None for one that has no formula."""
    return TextShape.of(config.get_text_config().to_dict()), VisionShape.of(config.vision_config.to_dict())


def patches(picture: Picture, family: Family) -> tuple[int, int]:
    """Return the number of tiles of a picture, and of the patches of each."""
    shape = picture.inputs["pixel_values"].shape
    if len(shape) < 4:  # patches, laid out flat
        return 1, prod(shape[:-1])
    side = cast(Any, family).model.config.vision_config.patch_size
    height, width = side if isinstance(side, list | tuple) else (side, side)
    return prod(shape[:-3]), (shape[-2] // height) * (shape[-1] // width)
