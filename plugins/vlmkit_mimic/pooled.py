"""Pooled visual tokens."""

from __future__ import annotations

from attrs import field, frozen

from vlmkit import Intervened
from vlmkit.types.reducer import Positions
from vlmkit_mimic.reducers.mean import Mean


@frozen
class Pooled(Intervened):
    """Asks what an inner strategy asks, of a model that sees the means of consecutive visual tokens.

    Args:
        inner: The strategy whose queries they are.
        factor: Visual tokens that become one.
        positions: Whether tokens keep their positions or count on without gaps.

    Source: MIMIC, "More Images, More Problems?".
    """

    factor: int = 4
    positions: Positions = "keep"
    intervention: Mean = field(init=False, eq=False, repr=False)

    @intervention.default
    def _mean(self) -> Mean:
        return Mean(self.factor, positions=self.positions)
