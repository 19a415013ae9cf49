"""From a query to the messages of a chat request."""

from __future__ import annotations

import base64
import io
from typing import Any

import PIL.Image

from vlmkit import Image, Query


def data_url(image: Image) -> str:
    """Return a picture as a PNG in a data URL: equal pixels give equal bytes, so that a server's cache knows them."""
    # A fresh picture carries no colour profile or other baggage of the file that it came from.
    bare = PIL.Image.frombytes("RGB", image.pixels.size, image.pixels.tobytes())
    buffer = io.BytesIO()
    # Photographs hardly shrink beyond level 1, and the default takes several times as long.
    bare.save(buffer, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def messages(query: Query, urls: list[str]) -> list[dict[str, Any]]:
    """Return the one message of a query: its pictures, then its words: questions about one picture share a prefix."""
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"role": "user", "content": [*pictures, {"type": "text", "text": query.text}]}]
