"""Questions about pictures that show nothing: what a fast path does to scores, any question shows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from io import BytesIO

import numpy as np
import PIL.Image

from vlmkit.data.images import open_image
from vlmkit.testing.situations import LABELS
from vlmkit.types import Choose, Image


def noise(count: int, seed: int = 0) -> list[Image]:
    """Return images of noise, each of another size, read from PNG and JPEG files by turns."""
    rng = np.random.default_rng(seed)
    images = []
    for index, (height, width) in enumerate(rng.integers(60, 140, (count, 2))):
        file = BytesIO()
        noisy = PIL.Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))
        noisy.save(file, "JPEG" if index % 2 else "PNG")
        images.append(open_image(file.getvalue()))
    return images


def questions(images: Sequence[Image], seed: int = 0) -> list[Choose]:
    """Return three questions about each image, of two to eight ``LABELS``."""
    rng = random.Random(seed)
    return [Choose((image,), rng.sample(LABELS, rng.randint(2, 8))) for image in images for _ in range(3)]


def begins_another(name: str, query: Choose) -> bool:
    """Return whether a name is the beginning of another option's name."""
    return any(option.name != name and option.name.startswith(name) for option in query.options)
