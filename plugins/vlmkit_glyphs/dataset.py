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

_BETWEEN = " and "
"""What stands between the leaves of a label; it is part of none."""

_LABELS, _TARGETS, _PICTURES = range(3)
"""Streams of random numbers, so that no choice moves another."""


@frozen(slots=False)
class Glyphs:
    """Drawn glyphs with their labels.

    Example i depends on ``seed``, ``labels`` and i alone, never on how many are asked for.

    Args:
        labels: Number of labels, 2 to 1,000: a sample of the leaves in catalogue order. With two glyphs a picture up
            to 1,000,000: a sample of ordered pairs of leaves, such as ``red striped circle and blue dotted square``.
        images: Number of examples; each run through the labels shows every one of them once, in random order.
        seed: Chooses the labels, the targets and the pictures.
        per_image: Glyphs side by side in a picture, 1 or 2. Two are there for scale and speed alone: the embedded
            model was trained on pictures of one.

    Raises:
        DataError: A number is out of range.
    """

    label_count: int = field(default=100, alias="labels")
    image_count: int = field(default=50, alias="images")
    seed: int = 0
    per_image: int = 1

    def __attrs_post_init__(self) -> None:
        if self.per_image not in (1, 2):
            raise DataError(f"a picture of glyphs cannot have {self.per_image:,} of them", hint="give per_image=1 or 2")
        if not 2 <= self.label_count <= self._kinds:
            more = "" if self.per_image == 2 or self.label_count < 2 else ", or per_image=2 for more"
            raise DataError(
                f"glyphs cannot have {self.label_count:,} labels", hint=f"give labels=2 to labels={self._kinds}{more}"
            )
        if self.image_count < 1:
            raise DataError(f"glyphs cannot have {self.image_count:,} images", hint="give images=1 or more")
        if self.seed < 0:
            raise DataError(f"glyphs cannot have the seed {self.seed}", hint="give seed=0 or more")

    @cached_property
    def labels(self) -> LabelSpace:
        """The sampled leaves, or pairs of them, in catalogue order."""
        chosen = np.sort(self._random(_LABELS).choice(self._kinds, self.label_count, replace=False))
        places = np.unravel_index(chosen, (len(LEAVES),) * self.per_image)
        return LabelSpace(_BETWEEN.join(LEAVES[place] for place in each) for each in zip(*places, strict=True))

    @property
    def _kinds(self) -> int:
        """How many labels there can be."""
        return int(len(LEAVES) ** self.per_image)

    @cached_property
    def taxonomy(self) -> Taxonomy | None:
        """The tree over the labels: shape family, shape, textured shape, leaf; None over pairs of glyphs."""
        if self.per_image > 1:
            return None
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
        rng = self._random(_PICTURES, index)
        glyphs = [GLYPHS[leaf] for leaf in target.split(_BETWEEN)]
        drawn = [draw(glyph.colour, glyph.texture, glyph.shape, rng) for glyph in glyphs]
        return PIL.Image.fromarray(np.hstack([np.asarray(picture) for picture in drawn]))

    def _random(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=stream))
