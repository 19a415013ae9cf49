"""Prepared pictures: made ahead on other threads or when they are asked for, kept while their image is in use."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from threading import Lock
from weakref import WeakKeyDictionary

from attrs import define, evolve, field

from vlmkit.local.threads import on_one_core
from vlmkit.tokentree.family import Family, Picture
from vlmkit.types import Image

PIXELS = "pixel_values"
"""Name of what the vision tower reads, among a picture's inputs; all else is small."""


@define
class Pictures:
    """Prepares images, each once, on any thread.

    A picture goes with its image, and its pixels go once it is encoded: nothing here outlives the examples in flight.

    Args:
        family: Whose processor prepares them.
        room: Bytes of pixels that are not encoded yet from which on none are prepared ahead.
    """

    family: Family
    room: int
    _ready: WeakKeyDictionary[Image, dict[bool, Picture]] = field(factory=WeakKeyDictionary, init=False, repr=False)
    _lock: Lock = field(factory=Lock, init=False, repr=False)

    def of(self, images: Sequence[Image]) -> list[Picture]:
        """Return the pictures of one prompt; those of images that are encoded may lack their pixels."""
        alone = len(images) == 1
        return [self._ready.get(image, {}).get(alone) or self._made(image, alone) for image in images]

    def whole(self, image: Image, picture: Picture, alone: bool) -> Picture:
        """Return the image's picture with its pixels."""
        return picture if PIXELS in picture.inputs else self._made(image, alone)

    def ahead(self, images: Sequence[Image]) -> None:
        """Prepare images that may be asked about soon, if there is room; what fails here fails when it is asked for."""
        with self._lock:
            waiting = sum(pixel_bytes(one) for ways in self._ready.values() for one in ways.values())
        if waiting < self.room:
            with suppress(Exception), self._beside_the_forward:
                self.of(images)

    def encoded(self, images: Sequence[Image]) -> None:
        """Let go of the pixels of a prompt's images."""
        alone = len(images) == 1
        with self._lock:
            for image in images:
                ways = self._ready.get(image, {})
                if alone in ways:
                    others = {name: values for name, values in ways[alone].inputs.items() if name != PIXELS}
                    ways[alone] = evolve(ways[alone], inputs=others)

    @property
    def _beside_the_forward(self) -> AbstractContextManager[None]:
        return on_one_core() if self.family.device.type == "cpu" else nullcontext()

    def _made(self, image: Image, alone: bool) -> Picture:
        picture = self.family.picture(image, alone)
        with self._lock:
            self._ready.setdefault(image, {})[alone] = picture
        return picture


def pixel_bytes(picture: Picture) -> int:
    """Return the bytes of a picture's pixels; 0 where they are gone."""
    return picture.inputs[PIXELS].nbytes if PIXELS in picture.inputs else 0
