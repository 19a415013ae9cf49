"""The situations in which a fast path can go wrong, as questions about pictures in files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import PIL.Image
from attrs import evolve, frozen

from vlmkit.prompts import Prompt, default_prompt
from vlmkit.testing.plain import Plain
from vlmkit.types import Choose, Image, Label, Letter, Readout

LABELS = tuple(
    Label(name)
    for name in (
        *("cat", "cat flea", "cat flea bite", "dog", "oak tree", "red oak"),
        *("Ärger, groß", "bus stop", "x", "traffic_light", "Traffic Cone", "dog rose"),
    )
)
"""Options of short lists: some begin each other, some share a beginning or differ in case."""

MANY = tuple(
    Label(f"{one} {other}")
    for one, other in product(
        ("amber", "brown", "dark", "old", "red"),
        ("ash", "barn", "bridge", "cup", "elm", "fern"),
    )
)
"""Options of a long list."""

BUDGET = 64
"""Tokens of one forward that a list of ``MANY`` does not fit in."""

SIZES = ((96, 64), (64, 96), (120, 120), (200, 48), (48, 130), (320, 240))
"""Width and height of the pictures, in pixels."""


@frozen
class Situation:
    """Questions that a backend gets in one call.

    Args:
        name: What is special about it.
        ask: Makes the questions of pictures; none where the model or backend does not know the situation.
        budget: Most tokens of one forward that the backend may use; None for as many as it likes.
    """

    name: str
    ask: Callable[[Sequence[Image], Plain], Sequence[Choose]]
    budget: int | None = None

    def questions(self, images: Sequence[Image], plain: Plain, readout: Readout) -> list[Choose]:
        """Return the questions, with no more options than the readout has letters."""
        most = Letter.limit if isinstance(readout, Letter) else None
        return [evolve(one, options=one.options[:most], readout=readout) for one in self.ask(images, plain)]


def write_pictures(directory: Path) -> Iterator[Path]:
    """Write one blurred pattern of each of ``SIZES``, as PNG and JPEG by turns, and return the files."""
    rng = np.random.default_rng(0)
    for index, size in enumerate(SIZES):
        coarse = PIL.Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8))
        path = directory / f"{size[0]}x{size[1]}.{'jpg' if index % 2 else 'png'}"
        coarse.resize(size, PIL.Image.Resampling.BICUBIC).save(path)
        yield path


def _one_image(images: Sequence[Image], _: Plain) -> list[Choose]:
    return [Choose(images[:1], LABELS)]


def _several_images(images: Sequence[Image], _: Plain) -> list[Choose]:
    return [Choose(images[:3], LABELS[:6])]


def _several_groups(images: Sequence[Image], _: Plain) -> list[Choose]:
    return [Choose(images[1:2], LABELS[start : start + 4]) for start in (0, 4, 8)]


def _neighbours(images: Sequence[Image], _: Plain) -> list[Choose]:
    return [Choose((image,), LABELS[start : start + 4]) for image in images[:3] for start in (0, 3, 6)]


def _sizes(images: Sequence[Image], _: Plain) -> list[Choose]:
    return [Choose((image,), LABELS[:4]) for image in images]


def _long_list(images: Sequence[Image], _: Plain) -> list[Choose]:
    """Two orders of one list: they share no more than the words before it, so each list is a branch."""
    return [Choose(images[:1], MANY), Choose(images[:1], MANY[::-1])]


def _past_the_window(images: Sequence[Image], plain: Plain) -> list[Choose]:
    """Two questions that part only after more tokens than the window has."""
    if plain.window is None:
        return []
    words = 1
    while True:
        prompt = Prompt("Take a close look first. " * words + default_prompt().template)
        queries = [Choose(images[:1], group, prompt=prompt) for group in (LABELS[:4], LABELS[4:8])]
        if plain.shared_tokens(*queries) > plain.window + 1:
            return queries
        words *= 2


SITUATIONS = (
    Situation("one image", _one_image),
    Situation("several images in a query", _several_images),
    Situation("several groups", _several_groups),
    Situation("batch neighbours", _neighbours),
    Situation("images of different sizes", _sizes),
    Situation("trunk longer than the window", _past_the_window),
    Situation("tree larger than the token budget", _long_list, budget=BUDGET),
)
"""All of them."""
