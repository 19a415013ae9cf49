"""Decoding pictures."""

from __future__ import annotations

from vlmkit.types import Image, ImageSource


def open_image(source: ImageSource, *, name: str = "memory") -> Image:
    """Decode one picture to upright 8-bit RGB.

    Raises:
        ImageError: It cannot be decoded.
    """
    raise NotImplementedError
