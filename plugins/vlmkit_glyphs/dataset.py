"""The data set ``glyphs``: drawn on the fly, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import PIL.Image
from attrs import field, frozen

from vlmkit import Example, LabelSpace, Taxonomy
from vlmkit.errors import DataError
from vlmkit_glyphs.drawing import draw
from vlmkit_glyphs.names import GLYPHS, LEAVES, RANKS, path

_LABELS, _TARGETS, _PICTURES = range(3)
"""Streams of random numbers, so that no choice moves another."""


@frozen(slots=False)
class Glyphs:
    """Drawn glyphs with their labels.

    Example i depends on ``seed``, ``labels`` and i alone, never on how many are asked for.

    Args:
        labels: Number of labels, 2 to 1,000: a sample of the leaves in catalogue order.
        images: Number of examples; each run through the labels shows every one of them once, in random order.
        seed: Chooses the labels, the targets and the pictures.

    Raises:
        DataError: A number is out of range.
    """

    label_count: int = field(default=100, alias="labels")
    image_count: int = field(default=50, alias="images")
    seed: int = 0

    def __attrs_post_init__(self) -> None:
        if not 2 <= self.label_count <= len(LEAVES):
            raise DataError(
                f"glyphs cannot have {self.label_count:,} labels", hint=f"give labels=2 to labels={len(LEAVES)}"
            )
        if self.image_count < 1:
            raise DataError(f"glyphs cannot have {self.image_count:,} images", hint="give images=1 or more")
        if self.seed < 0:
            raise DataError(f"glyphs cannot have the seed {self.seed}", hint="give seed=0 or more")

    @cached_property
    def labels(self) -> LabelSpace:
        """The sampled leaves in catalogue order."""
        chosen = self._random(_LABELS).choice(len(LEAVES), self.label_count, replace=False)
        return LabelSpace(LEAVES[index] for index in sorted(chosen))

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The tree over the labels: shape family, shape, textured shape, leaf."""
        return Taxonomy(map(path, self.labels.names), RANKS, root="glyph")

    def __len__(self) -> int:
        return self.image_count

    def __iter__(self) -> Iterator[Example]:
        for index in range(self.image_count):
            turn, place = divmod(index, self.label_count)
            if place == 0:
                order = self._random(_TARGETS, turn).permutation(self.label_count)
            target = self.labels[int(order[place])].name
            name = f"{index:04d}-{target.replace(' ', '-')}.png"
            yield Example(id=name, images=(self._picture(target, index),), target=target)

    def _picture(self, target: str, index: int) -> PIL.Image.Image:
        glyph = GLYPHS[target]
        return draw(glyph.colour, glyph.texture, glyph.shape, self._random(_PICTURES, index))

    def _random(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=stream))
