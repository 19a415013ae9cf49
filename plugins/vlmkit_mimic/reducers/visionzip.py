"""Visual tokens that dominate an image, and the others merged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen
from attrs.validators import ge

from vlmkit import Reducer

if TYPE_CHECKING:
    import torch

    from vlmkit.tokentree import Visual


@frozen
class VisionZip(Reducer):
    """Keeps the dominant visual tokens of an image and merges the others, in the manner of VisionZip.

    The contextual tokens: of the others, evenly spaced ones are targets, and each token joins the target that it is
    most like. It costs one product of the tokens with the targets. VisionZip calls those tokens dominant that get the
    most attention in the vision encoder, and compares its keys. Encoders differ in both; what leaves the projector
    stands for them here: its norm for the attention, its cosine similarity for that of keys. A group becomes its
    plain mean; VisionZip adds the mean of the others to the target.

    Args:
        dominant: Tokens of an image that stay as they are.
        contextual: Tokens that the others become.
        positions: As for every reducer.

    Source: arXiv 2412.04467.
    """

    dominant: int = field(default=54, validator=ge(0))
    contextual: int = field(default=10, validator=ge(1))

    def kept(self, tokens: int) -> int:
        """Return the number of both kinds together; fewer tokens than that stay as they are."""
        return min(tokens, self.dominant + self.contextual)

    def groups(self, visual: Visual) -> torch.Tensor:
        """Return the group of every token, int64 [tokens]."""
        import torch

        count = len(visual.tokens)
        groups = torch.arange(count)
        if count == self.kept(count):
            return groups
        tokens = visual.tokens.float()
        order = tokens.norm(dim=1).argsort(descending=True, stable=True)
        others = order[self.dominant :].sort().values
        targets = others[torch.arange(self.contextual, device=others.device) * len(others) // self.contextual]
        directions = torch.nn.functional.normalize(tokens, dim=1)
        likeness = directions[others] @ directions[targets].T
        # A target is most like itself, but for rounding and for tokens that equal it.
        likeness[torch.searchsorted(others, targets), torch.arange(self.contextual, device=others.device)] = 2
        groups[others.cpu()] = targets[likeness.argmax(1)].cpu()
        return groups
