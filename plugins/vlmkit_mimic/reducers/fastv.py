"""Visual tokens pruned by the attention that they get in an early layer."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from attrs import field, frozen
from attrs.validators import and_, ge, gt, le

from vlmkit import Reducer

if TYPE_CHECKING:
    import torch

    from vlmkit.tokentree import Visual


@frozen
class FastV(Reducer):
    """Drops the visual tokens that get the least attention in an early layer, in the manner of FastV.

    A first pass ends in that layer; a second one runs all layers over what is left. So it costs that many layers over
    the images at full length, once for each trunk. FastV prunes in one pass, and its layers up to the pruning keep all
    tokens. It ranks by the attention of the prompt's last token; here all later tokens up to the last visual one have
    a say, heads alike, and the question has none: all questions about the images share what is left. Every weight
    counts as a multiple of an even share, or tokens that stand early would always win.

    Args:
        keep: Share of every image's tokens that is left.
        layer: Number of the layer whose attention is read, from 1 on.
        positions: As for every reducer.

    Source: arXiv 2403.06764.
    """

    keep: float = field(default=0.5, validator=and_(gt(0), le(1)))
    layer: int = field(default=2, validator=ge(1))

    @property
    def watches(self) -> int:
        """The layer whose attention is read; none where everything is kept."""
        return self.layer if self.keep < 1 else 0

    def kept(self, tokens: int) -> int:
        """Return the share of so many tokens, rounded up."""
        return ceil(self.keep * tokens)

    def groups(self, visual: Visual) -> torch.Tensor:
        """Return a group of its own for every token that is left, int64 [tokens]."""
        import torch

        count = len(visual.tokens)
        groups = torch.arange(count)
        if visual.attention is not None:
            order = visual.attention.argsort(descending=True, stable=True)
            groups[order[self.kept(count) :].cpu()] = -1
        return groups
