"""A decoded picture, and the address of one."""

from __future__ import annotations

import hashlib

import PIL.Image
from attrs import field, frozen

from vlmkit.redaction import redacted


@frozen
class ImageUrl:
    """The address of a picture; nothing is fetched before its example is opened, and only if that is allowed.

    Args:
        url: The address, which may hold a secret and is shown without.
    """

    url: str = field(repr=False)

    def __str__(self) -> str:
        return redacted(self.url)

    @staticmethod
    def reads(text: str) -> bool:
        """Return whether a text is an address and no path."""
        return "://" in text


@frozen(eq=False)
class Image:
    """One decoded picture; two are equal when their pixels are.

    Args:
        pixels: RGB, 8 bits a channel, upright, at least 1 x 1 pixel.
        source: Where it came from, for messages.
        digest: SHA-256 of size and pixels, hexadecimal; the key of every cache.
    """

    pixels: PIL.Image.Image = field(repr=False)
    source: str = "memory"
    digest: str = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.pixels.mode != "RGB":
            raise ValueError(f"image {self.source} has mode {self.pixels.mode}, expected RGB")
        width, height = self.pixels.size
        sha = hashlib.sha256(f"{width}x{height};".encode())
        sha.update(self.pixels.tobytes())
        object.__setattr__(self, "digest", sha.hexdigest())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Image) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)
