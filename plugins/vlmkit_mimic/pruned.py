"""Visual tokens pruned by attention."""

from __future__ import annotations

from attrs import field, frozen

from vlmkit import Intervened
from vlmkit.types.reducer import Positions
from vlmkit_mimic.reducers.fastv import FastV


@frozen
class Pruned(Intervened):
    """Asks what an inner strategy asks, of a model without the visual tokens that get the least attention.

    Args:
        inner: The strategy whose queries they are.
        keep: Share of every image's tokens that is left.
        layer: Number of the layer whose attention is read, from 1 on.
        positions: Whether tokens keep their positions or count on without gaps.

    Source: arXiv 2403.06764.
    """

    keep: float = 0.5
    layer: int = 2
    positions: Positions = "keep"
    intervention: FastV = field(init=False, eq=False, repr=False)

    @intervention.default
    def _fastv(self) -> FastV:
        return FastV(self.keep, self.layer, positions=self.positions)
