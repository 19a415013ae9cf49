"""Dominant visual tokens, and the others merged."""

from __future__ import annotations

from attrs import field, frozen

from vlmkit import Intervened
from vlmkit.types.reducer import Positions
from vlmkit_mimic.reducers.visionzip import VisionZip


@frozen
class Zipped(Intervened):
    """Asks what an inner strategy asks, of a model that sees the dominant visual tokens and the others merged.

    Args:
        inner: The strategy whose queries they are.
        dominant: Tokens of an image that stay as they are.
        contextual: Tokens that the others become.
        positions: Whether tokens keep their positions or count on without gaps.

    Source: arXiv 2412.04467.
    """

    dominant: int = 54
    contextual: int = 10
    positions: Positions = "keep"
    intervention: VisionZip = field(init=False, eq=False, repr=False)

    @intervention.default
    def _visionzip(self) -> VisionZip:
        return VisionZip(self.dominant, self.contextual, positions=self.positions)
