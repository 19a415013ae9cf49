"""Drawing one glyph: a shape painted as a mask, a texture laid over it, a colour and noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import PIL.Image
import PIL.ImageDraw
from attrs import frozen
from numpy.typing import NDArray

SIZE = 48
"""Width and height of a glyph's picture in pixels."""

COLOURS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "red": (220, 40, 40),
        "green": (40, 180, 60),
        "blue": (50, 80, 220),
        "yellow": (230, 210, 40),
        "purple": (150, 50, 190),
        "orange": (240, 140, 30),
        "cyan": (40, 200, 210),
        "pink": (240, 130, 180),
        "brown": (130, 80, 40),
        "white": (240, 240, 240),
    }
)
"""RGB of each colour at full brightness."""

Field = NDArray[np.float64]
"""Values of shape [SIZE, SIZE], from 0 (background) to 1 (full colour)."""

_Y, _X = np.mgrid[0:SIZE, 0:SIZE]


@frozen
class Spot:
    """Where a glyph lies: the centre and the radius of its bounding circle, in pixels."""

    x: float
    y: float
    radius: float

    @classmethod
    def anywhere(cls, rng: np.random.Generator) -> Spot:
        """Draw a place and a size at which the glyph lies inside the picture."""
        radius = rng.uniform(13, 20)
        x, y = rng.uniform(radius + 1, SIZE - radius - 1, size=2)
        return cls(float(x), float(y), float(radius))

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the pixel at which a point of the unit square around the centre lies; y points down."""
        return self.x + self.radius * x, self.y + self.radius * y


Painter = Callable[[PIL.ImageDraw.ImageDraw, Spot], None]
Texture = Callable[[Field, Spot], Field]


def _polygon(*points: tuple[float, float]) -> Painter:
    def paint(canvas: PIL.ImageDraw.ImageDraw, spot: Spot) -> None:
        canvas.polygon([spot.at(x, y) for x, y in points], fill=255)

    return paint


def _ellipses(*boxes: tuple[float, float, float, float, int]) -> Painter:
    def paint(canvas: PIL.ImageDraw.ImageDraw, spot: Spot) -> None:
        for left, top, right, bottom, fill in boxes:
            canvas.ellipse([*spot.at(left, top), *spot.at(right, bottom)], fill=fill)

    return paint


def _all(*painters: Painter) -> Painter:
    def paint(canvas: PIL.ImageDraw.ImageDraw, spot: Spot) -> None:
        for painter in painters:
            painter(canvas, spot)

    return paint


def _star(tips: int, inner: float) -> Sequence[tuple[float, float]]:
    turns = [(1.0 if corner % 2 == 0 else inner, corner * math.pi / tips) for corner in range(2 * tips)]
    return [(length * math.sin(turn), -length * math.cos(turn)) for length, turn in turns]


_CROSS = [(-1, -3), (1, -3), (1, -1), (3, -1), (3, 1), (1, 1), (1, 3), (-1, 3), (-1, 1), (-3, 1), (-3, -1), (-1, -1)]

PAINTERS: Mapping[str, Painter] = MappingProxyType(
    {
        "circle": _ellipses((-1, -1, 1, 1, 255)),
        "ring": _ellipses((-1, -1, 1, 1, 255), (-0.5, -0.5, 0.5, 0.5, 0)),
        "moon": _ellipses((-1, -1, 1, 1, 255), (-0.4, -1.1, 1.4, 0.7, 0)),
        "heart": _all(
            _ellipses((-1, -0.9, 0.05, 0.15, 255), (-0.05, -0.9, 1, 0.15, 255)),
            _polygon((-0.93, -0.15), (0.93, -0.15), (0, 1)),
        ),
        "square": _polygon((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),
        "diamond": _polygon((0, -1), (0.7, 0), (0, 1), (-0.7, 0)),
        "cross": _polygon(*[(x / 3, y / 3) for x, y in _CROSS]),
        "triangle": _polygon((0, -1), (0.95, 0.8), (-0.95, 0.8)),
        "star": _polygon(*_star(5, 0.42)),
        "arrow": _polygon((0, -1), (0.9, -0.1), (0.35, -0.1), (0.35, 1), (-0.35, 1), (-0.35, -0.1), (-0.9, -0.1)),
    }
)
"""How each shape is painted."""


def _frame(width: int) -> Texture:
    """Leave an edge of ``width`` pixels and a tenth of the inside."""

    def lay(mask: Field, spot: Spot) -> Field:
        inside = mask
        for _ in range(width):
            shifted = [np.roll(inside, step, axis) for axis in (0, 1) for step in (1, -1)]
            inside = np.minimum.reduce([inside, *shifted])
        return mask - 0.9 * inside

    return lay


def _pattern(values: Field) -> Texture:
    """Multiply by a pattern that is fixed to the picture."""
    return lambda mask, spot: mask * values


TEXTURES: Mapping[str, Texture] = MappingProxyType(
    {
        "plain": lambda mask, spot: mask,
        "faded": lambda mask, spot: mask * np.clip((_Y - (spot.y - spot.radius)) / (2 * spot.radius), 0.15, 1),
        "striped": _pattern(0.35 + 0.65 * (_Y // 3 % 2)),
        "barred": _pattern(0.35 + 0.65 * (_X // 3 % 2)),
        "gridded": _pattern(np.where((_X % 6 == 0) | (_Y % 6 == 0), 0.2, 1.0)),
        "dotted": _pattern(1 - 0.75 * ((_X % 6 - 2.5) ** 2 + (_Y % 6 - 2.5) ** 2 < 3.2)),
        "checked": _pattern(0.35 + 0.65 * ((_X // 4 + _Y // 4) % 2)),
        "split": lambda mask, spot: mask * np.where(spot.x > _X, 1.0, 0.4),
        "outlined": _frame(2),
        "hollow": _frame(5),
    }
)
"""How each texture changes a mask."""


def draw(colour: str, texture: str, shape: str, rng: np.random.Generator) -> PIL.Image.Image:
    """Draw one glyph; place, size, brightness, background and noise come from ``rng``.

    Returns:
        RGB, 48 x 48 pixels.

    Raises:
        KeyError: No such colour, texture or shape.
    """
    spot = Spot.anywhere(rng)
    canvas = PIL.Image.new("L", (SIZE, SIZE), 0)
    PAINTERS[shape](PIL.ImageDraw.Draw(canvas), spot)
    covered = TEXTURES[texture](np.asarray(canvas) / 255, spot)[..., None]
    ink = np.array(COLOURS[colour]) * rng.uniform(0.8, 1.05)
    background = rng.uniform(0, 60)
    noise = rng.normal(0, 8, (SIZE, SIZE, 3))
    pixels = background * (1 - covered) + ink * covered + noise
    return PIL.Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
