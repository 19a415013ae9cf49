"""One item of data, before its pictures are decoded."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
from attrs import field, frozen

from vlmkit.types.image import ImageUrl
from vlmkit.types.tuples import as_tuple

ImageSource = Path | bytes | PIL.Image.Image | ImageUrl
"""Where a picture comes from: a file, encoded bytes, an open picture, or an address."""


@frozen
class Example:
    """One item of data.

    Args:
        id: Unique in its data set; for files the POSIX path relative to the data set's root.
        images: The pictures, undecoded.
        target: Name of the right label, or None when it is not known.
        question: A question about the images, or None to classify them.
    """

    id: str
    images: tuple[ImageSource, ...] = field(converter=as_tuple, repr=False)
    target: str | None = None
    question: str | None = None
