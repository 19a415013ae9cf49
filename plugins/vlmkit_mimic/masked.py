"""Images that do not see each other in chosen layers."""

from __future__ import annotations

from attrs import field, frozen

from vlmkit import Intervened, Mask


@frozen
class Masked(Intervened):
    """Asks what an inner strategy asks, of a model in some of whose layers each image sees no other.

    The paper fine-tunes with this mask, and has no figures for models that never saw it.

    Args:
        inner: The strategy whose queries they are.
        layers: Which layers, counted from 0: numbers and ranges, both ends included, joined by commas; ``all``;
            ``none``; ``deep`` for the deeper half, as in the paper.
        text: Whether images see the text before them. The paper does not say; in its code they do not.

    Raises:
        SpecError: ``layers`` cannot be read.

    Source: MIMIC, "More Images, More Problems?".
    """

    layers: str = "deep"
    text: bool = True
    intervention: Mask = field(init=False, eq=False, repr=False)

    @intervention.default
    def _mask(self) -> Mask:
        return Mask(self.layers, self.text)
