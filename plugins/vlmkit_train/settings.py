"""The numbers of a training run."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import and_, ge, gt, le, lt, optional

from vlmkit import Mask
from vlmkit.types.tuples import as_tuple


@frozen
class Settings:
    """What a training run depends on, besides its base model and its data.

    The defaults are published settings, for a model of 7 billion parameters on 256,000 questions.

    Args:
        rank: Rank of the updates.
        alpha: The updates are scaled by alpha / rank.
        dropout: Share of a layer's inputs that its update does not see.
        layers: First and last decoder layer that gets updates, counted from 0; None for all.
        targets: Names of the linear maps in a layer that get updates; empty for all.
        learning_rate: Peak of AdamW's learning rate; it rises linearly and falls along half a cosine.
        weight_decay: Weight decay of AdamW.
        epochs: Times that each conversation is seen.
        steps: Optimizer steps; overrides ``epochs``.
        batch_size: Conversations in a forward.
        accumulate: Forwards in an optimizer step.
        warmup: Share of the steps in which the learning rate rises.
        seed: Seed of the updates' first values, of order and of dropout.
        mask: Layers in which images do not see each other; None for no mask.

    Source: arXiv 2505.24840, section on fine-tuning, and its code.
    """

    rank: int = field(default=64, validator=ge(1))
    alpha: float = field(default=64.0, validator=gt(0))
    dropout: float = field(default=0.2, validator=and_(ge(0), lt(1)))
    layers: tuple[int, int] | None = None
    targets: tuple[str, ...] = field(default=(), converter=as_tuple)
    learning_rate: float = field(default=5e-5, validator=gt(0))
    weight_decay: float = field(default=0.1, validator=ge(0))
    epochs: float = field(default=1.0, validator=gt(0))
    steps: int | None = field(default=None, validator=optional(ge(1)))
    batch_size: int = field(default=4, validator=ge(1))
    accumulate: int = field(default=32, validator=ge(1))
    warmup: float = field(default=0.03, validator=and_(ge(0), le(1)))
    seed: int = field(default=0, validator=ge(0))
    mask: Mask | None = None
