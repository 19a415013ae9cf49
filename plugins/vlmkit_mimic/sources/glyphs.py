"""Scenes of glyphs: one or a few drawn objects in a picture, with their boxes; nothing to download."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Literal

import numpy as np
import PIL.Image
from attrs import field, frozen
from attrs.validators import ge

from vlmkit.errors import DataError
from vlmkit_glyphs.drawing import SIZE, Spot, draw
from vlmkit_glyphs.names import COLOURS, SHAPE_FAMILIES, SHAPES, TEXTURES
from vlmkit_mimic.collection import Annotations, Scene


@frozen
class _Object:
    """One glyph in its square of a scene.

    Args:
        name: Its class.
        colour: Its colour.
        texture: Its texture.
        shape: Its shape.
        seed: Fixes place, size, brightness, background and noise.
    """

    name: str
    colour: str
    texture: str
    shape: str
    seed: int

    @property
    def spot(self) -> Spot:
        """Where it lies in its square."""
        return Spot.anywhere(np.random.default_rng(self.seed))

    def drawn(self) -> PIL.Image.Image:
        """Return its square."""
        return draw(self.colour, self.texture, self.shape, np.random.default_rng(self.seed))


@frozen
class GlyphScenes:
    """Pictures of drawn glyphs: one stands alone, several stand in the squares of a grid.

    Picture i depends on the seed, ``objects``, ``classes`` and i alone.

    Args:
        pictures: Number of pictures.
        objects: Most objects in a picture.
        classes: What counts as a class: the ten shapes, whose super-categories are the families of shapes, or colour
            and shape together, whose super-categories are the shapes.
        seed: Chooses what the pictures show.
    """

    pictures: int = field(default=2000, validator=ge(1))
    objects: int = field(default=4, validator=ge(1))
    classes: Literal["shape", "colour-shape"] = "shape"
    seed: int = field(default=0, validator=ge(0))

    @property
    def images(self) -> None:
        """There is no folder."""

    def annotations(self) -> Annotations:
        """Make up what the pictures show; nothing is drawn."""
        if self.classes == "shape":
            groups = dict(SHAPE_FAMILIES)
        else:
            groups = {shape: tuple(f"{colour} {shape}" for colour in COLOURS) for shape in SHAPES}
        return Annotations(tuple(name for members in groups.values() for name in members), groups, self._scenes())

    def picture(self, name: str) -> PIL.Image.Image:
        """Draw a picture.

        Raises:
            DataError: There is no picture of that name.
        """
        match = re.fullmatch(r"scene-(\d+)", name)
        if match is None or int(match[1]) >= self.pictures:
            raise DataError(f"glyphs have no picture {name!r}", hint="build the benchmark again")
        objects = self._objects(int(match[1]))
        side = _side(len(objects))
        scene = PIL.Image.new("RGB", (side * SIZE, side * SIZE))
        for index, one in enumerate(objects):
            row, column = divmod(index, side)
            scene.paste(one.drawn(), (column * SIZE, row * SIZE))
        return scene

    def identity(self, name: str) -> str:
        """Return all that a picture depends on."""
        return f"glyphs:objects={self.objects},classes={self.classes},seed={self.seed}/{name}"

    def _scenes(self) -> Iterator[Scene]:
        for index in range(self.pictures):
            objects = self._objects(index)
            area = (_side(len(objects)) * SIZE) ** 2
            yield Scene(f"scene-{index:06d}", [(one.name, (2 * one.spot.radius) ** 2 / area) for one in objects])

    def _objects(self, index: int) -> list[_Object]:
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(index,)))
        number = int(rng.integers(1, self.objects, endpoint=True))
        # Few kinds among many objects, so that pictures show several of a kind.
        kinds = [(rng.choice(COLOURS), rng.choice(SHAPES)) for _ in range(rng.integers(1, number, endpoint=True))]
        made = []
        for _ in range(number):
            colour, shape = map(str, kinds[rng.integers(len(kinds))])
            if self.classes == "shape":
                colour = str(rng.choice(COLOURS))
            name = shape if self.classes == "shape" else f"{colour} {shape}"
            made.append(_Object(name, colour, str(rng.choice(TEXTURES)), shape, int(rng.integers(2**32))))
        return made


def _side(objects: int) -> int:
    """Squares along each side of a grid that has room for so many objects."""
    return math.ceil(math.sqrt(objects))
