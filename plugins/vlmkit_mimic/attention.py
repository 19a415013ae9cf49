"""Where visual tokens look, layer by layer: at their own image or at others.

Over the visual tokens of every image but the first, which has no other before it: of the attention that goes to visual
tokens, the share that goes to those of other images. It depends on the place of an image as well, as later ones have
more before them; the chance level is the share if all visual tokens that are seen were looked at alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from attrs import define, field, frozen

from vlmkit import Image
from vlmkit.tokentree import Observer, TokenTreeBackend, Weights


@frozen
class LayerProfile:
    """Shares of one layer, means over heads, visual tokens and then examples.

    Args:
        layer: The layer, counted from 0.
        visual: Share of the attention that goes to visual tokens at all.
        inter: Of that, the share that goes to other images.
        chance: What ``inter`` were if all visual tokens that are seen were looked at alike.
    """

    layer: int
    visual: float
    inter: float
    chance: float

    @property
    def intra(self) -> float:
        """Of the attention to visual tokens, the share that stays within the image."""
        return 1 - self.inter


@frozen
class Profile:
    """Where visual tokens of a model look.

    Args:
        layers: By layer, in order.
        examples: Examples that they are means over.
        images: Least and most images of an example.
        skipped: Examples with fewer than two images.
    """

    layers: tuple[LayerProfile, ...]
    examples: int
    images: tuple[int, int]
    skipped: int


def attention_profile(backend: TokenTreeBackend, examples: Iterable[tuple[Sequence[Image], str]]) -> Profile:
    """Measure where the visual tokens of a model look.

    Args:
        backend: The model.
        examples: Images and words of each prompt.

    Raises:
        ModelError: The model's images are no part of its sequence.
        BackendError: Memory runs out.
        ValueError: No example has two images.
    """
    totals: dict[int, torch.Tensor] = {}
    counts: list[int] = []
    skipped = 0
    for images, text in examples:
        if len(images) < 2:
            skipped += 1
            continue
        sums = _Sums()
        backend.observe(images, text, sums.begin)
        for layer, means in sums.means.items():
            totals[layer] = totals.get(layer, torch.zeros(3, dtype=torch.float64)) + means
        counts.append(len(images))
    if not counts:
        raise ValueError("no example has two images")
    layers = [LayerProfile(layer, *(total / len(counts)).tolist()) for layer, total in sorted(totals.items())]
    return Profile(tuple(layers), len(counts), (min(counts), max(counts)), skipped)


@define
class _Sums:
    """Sums over the visual tokens of one example, by layer: nothing grows with the number of tokens or layers."""

    _images: torch.Tensor = field(factory=lambda: torch.empty(0, dtype=torch.int64))
    _sums: dict[int, torch.Tensor] = field(factory=dict)

    def begin(self, images: torch.Tensor) -> Observer:
        """Begin with a prompt of which the image of each visual token is given, int64 [T]."""
        self._images = images
        return self._add

    def _add(self, found: Weights) -> None:
        asking = self._images[found.queries] > 0
        mine, theirs = self._images[found.queries[asking]], self._images[found.keys]
        visual = (theirs >= 0) & found.seen[asking]  # [t, s]
        others = visual & (theirs != mine[:, None])
        weights = found.weights[:, asking].double()
        to_visual = (weights * visual).sum(-1)  # [heads, t]
        inter = (weights * others).sum(-1) / to_visual
        chance = others.sum(-1).double() / visual.sum(-1)
        sums = torch.stack([to_visual.mean(0).sum(), inter.mean(0).sum(), chance.sum()]).cpu()
        self._sums[found.layer] = self._sums.get(found.layer, torch.zeros(3, dtype=torch.float64)) + sums

    @property
    def means(self) -> dict[int, torch.Tensor]:
        """By layer the share of attention to visual tokens, that of it to other images, and the chance level."""
        return {layer: sums / int((self._images > 0).sum()) for layer, sums in self._sums.items()}
