"""What tests of data sets in tables and archives share."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from vlmkit import Example
from vlmkit.data.images import open_image


def tar(path: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    """Write an archive of files with these names and contents."""
    with tarfile.open(path, "w") as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def content(data: Iterable[Example]) -> list[tuple[str, str | None]]:
    """Return the digest of the first picture of each example, and its target."""
    return [(open_image(example.images[0]).digest, example.target) for example in data]
