"""What glyphs are called: 10 colours x 10 textures x 10 shapes, their families, and the taxonomy over the 1,000 leaves.

No name stands at two levels, so a name alone tells its level.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from attrs import frozen

COLOUR_FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "warm colour": ("red", "orange", "yellow", "pink"),
        "cool colour": ("green", "cyan", "blue", "purple"),
        "neutral colour": ("brown", "white"),
    }
)
"""Colour names by family."""

TEXTURE_FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "smooth texture": ("plain", "faded"),
        "lined texture": ("striped", "barred", "gridded"),
        "patched texture": ("dotted", "checked", "split"),
        "open texture": ("outlined", "hollow"),
    }
)
"""Texture names by family."""

SHAPE_FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "round shape": ("circle", "ring", "heart", "moon"),
        "angular shape": ("square", "diamond", "cross"),
        "pointed shape": ("triangle", "star", "arrow"),
    }
)
"""Shape names by family."""


def _members(families: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(name for members in families.values() for name in members)


COLOURS = _members(COLOUR_FAMILIES)
TEXTURES = _members(TEXTURE_FAMILIES)
SHAPES = _members(SHAPE_FAMILIES)


def _family(name: str, families: Mapping[str, tuple[str, ...]]) -> str:
    return next(family for family, members in families.items() if name in members)


@frozen
class Glyph:
    """One kind of glyph, by its three attributes."""

    colour: str
    texture: str
    shape: str

    @property
    def leaf(self) -> str:
        """The label, such as ``red striped circle``."""
        return f"{self.colour} {self.textured_shape}"

    @property
    def textured_shape(self) -> str:
        """The label without its colour, such as ``striped circle``."""
        return f"{self.texture} {self.shape}"

    @property
    def colour_family(self) -> str:
        """The family of the colour, such as ``warm colour``."""
        return _family(self.colour, COLOUR_FAMILIES)

    @property
    def texture_family(self) -> str:
        """The family of the texture, such as ``lined texture``."""
        return _family(self.texture, TEXTURE_FAMILIES)

    @property
    def shape_family(self) -> str:
        """The family of the shape, such as ``round shape``."""
        return _family(self.shape, SHAPE_FAMILIES)


def _catalogue() -> Iterator[Glyph]:
    for colour in COLOURS:
        for texture in TEXTURES:
            for shape in SHAPES:
                yield Glyph(colour, texture, shape)


GLYPHS: Mapping[str, Glyph] = MappingProxyType({glyph.leaf: glyph for glyph in _catalogue()})
"""The glyphs by leaf label, in catalogue order."""

LEAVES: tuple[str, ...] = tuple(GLYPHS)
"""The 1,000 leaf labels in catalogue order."""

LEVELS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        level: tuple(dict.fromkeys(getattr(glyph, level) for glyph in GLYPHS.values()))
        for level in (
            "leaf",
            "textured_shape",
            "shape",
            "shape_family",
            "texture",
            "texture_family",
            "colour",
            "colour_family",
        )
    }
)
"""The names of every level and facet, by the attribute of ``Glyph`` that gives them."""


RANKS = ("shape family", "shape", "textured shape", "glyph")
"""What the levels of a path are called."""


def path(leaf: str) -> tuple[str, ...]:
    """Return the way down to a leaf: shape family, shape, textured shape, leaf.

    Raises:
        KeyError: No leaf has that label.
    """
    glyph = GLYPHS[leaf]
    return glyph.shape_family, glyph.shape, glyph.textured_shape, glyph.leaf
