"""Pictures in the cells of a table, undecoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from vlmkit.errors import DataError


def pictures(cell: Any, root: Path | None) -> Iterator[Path | bytes]:
    """Iterate over the pictures in a cell.

    Args:
        cell: Encoded bytes, a path or URL, an object of both as ``datasets`` has it, a list of these, or None.
        root: What paths are relative to; None where they are absolute.

    Raises:
        DataError: A picture that lies elsewhere cannot be fetched.
    """
    if isinstance(cell, Mapping):
        content, path = cell.get("bytes"), cell.get("path")
        yield from pictures(path if content is None else content, root)
    elif isinstance(cell, bytes):
        yield cell
    elif isinstance(cell, str):
        yield _fetched(cell) if "://" in cell else (root or Path()) / cell
    elif cell is not None:
        for one in cell:
            yield from pictures(one, root)


def _fetched(url: str) -> bytes:
    """Return the bytes behind a URL, as it stands in a stream of a data set on the Hub."""
    from datasets.utils.file_utils import xopen

    try:
        with xopen(url, "rb") as file:
            content: bytes = file.read()
    except (OSError, BadZipFile) as error:
        raise DataError(
            f"picture {url} cannot be fetched ({error})", hint="the same command goes on from here"
        ) from error
    return content
