"""One-dimensional mean pooling of visual tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen
from attrs.validators import ge

from vlmkit import Reducer

if TYPE_CHECKING:
    import torch

    from vlmkit.tokentree import Visual


@frozen
class Mean(Reducer):
    """Lets every so many consecutive visual tokens, in reading order, become their mean.

    The last group is the mean of what is left. It costs next to nothing, and the language model sees as many times
    fewer visual tokens. The release pads the last group with zeros, which draws its mean towards zero.

    Args:
        factor: Tokens of a group.
        positions: As for every reducer.

    Source: MIMIC, "More Images, More Problems?".
    """

    factor: int = field(default=4, validator=ge(1))

    def kept(self, tokens: int) -> int:
        """Return the number of groups."""
        return -(-tokens // self.factor)

    def groups(self, visual: Visual) -> torch.Tensor:
        """Return the group of every token, int64 [tokens]."""
        import torch

        return torch.arange(len(visual.tokens)) // self.factor
