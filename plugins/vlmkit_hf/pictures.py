"""Pictures in the cells of a table, undecoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from vlmkit.errors import DataError
from vlmkit.types import ImageUrl

_ARCHIVES = frozenset({"bz2", "gzip", "lz4", "tar", "xz", "zip", "zstd"})


def pictures(cell: Any, root: Path | None) -> Iterator[Path | bytes | ImageUrl]:
    """Iterate over the pictures in a cell.

    Args:
        cell: Encoded bytes, a path, an address, an object of both as ``datasets`` has it, a list of these, or None.
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
        if _is_of_datasets(cell):
            yield _fetched(cell)
        else:
            yield ImageUrl(cell) if ImageUrl.reads(cell) else (root or Path()) / cell
    elif cell is not None:
        for one in cell:
            yield from pictures(one, root)


def _is_of_datasets(url: str) -> bool:
    """Return whether it is a file on the Hub, or one in an archive there or here; others are the user's to allow."""
    *archives, file = url.split("::")
    here = bool(archives) and not ImageUrl.reads(file)
    return (here or file.startswith("hf://")) and all(one.partition("://")[0] in _ARCHIVES for one in archives)


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
