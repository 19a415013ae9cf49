"""What goes through a model, counted: enough to say what it costs."""

from __future__ import annotations

from math import prod
from typing import Any, cast

import torch
from attrs import define, field

from vlmkit.measures.flops import TextShape, VisionShape
from vlmkit.tokentree.family import Family, Picture


@define
class Work:
    """What went, or would have gone, through a model.

    Args:
        tokens: Tokens through the language model.
        pairs: Pairs of a token and a key that it sees, windows left out of account; a number or an int64 tensor.
        read: Positions whose logits are read.
        unfinished: Tokens of which the last layer computes keys and values alone.
        unfinished_pairs: Those of ``pairs`` in which such a token sees a key; a number or an int64 tensor.
        seen: Pairs of a token and a visual state that it sees by cross-attention; plans leave them out.
        encoded: For each image through the vision tower, the number of its tiles and of the patches of each.
    """

    tokens: int = 0
    pairs: int | torch.Tensor = 0
    read: int = 0
    unfinished: int = 0
    unfinished_pairs: int | torch.Tensor = 0
    seen: int = 0
    encoded: list[tuple[int, int]] = field(factory=list)

    def flops(self, text: TextShape, vision: VisionShape) -> tuple[int, int]:
        """Return the matrix-multiply FLOPs of the language model and of the vision tower."""
        states = sum(tiles * vision.tokens(patches) for tiles, patches in self.encoded)
        shown = sum(vision.flops(*image) for image in self.encoded)
        done = text.flops(
            self.tokens,
            int(self.pairs),
            self.read,
            unfinished=self.unfinished,
            unfinished_pairs=int(self.unfinished_pairs),
            seen=self.seen,
            states=states,
        )
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
