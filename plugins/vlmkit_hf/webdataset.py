"""WebDataset: samples as files side by side in tar archives."""

from __future__ import annotations

import json
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from lzma import LZMAError
from operator import itemgetter
from pathlib import Path
from typing import Any

from attrs import field, frozen

from vlmkit.data.images import is_image_file
from vlmkit.errors import DataError
from vlmkit_hf.columns import Column, Kind
from vlmkit_hf.shards import Shards
from vlmkit_hf.table import Row, Table

IMAGE = "image"
"""The column of the one picture of a sample, whatever its suffix."""

_TEXTS = ("txt", "text", "label", "target", "caption", "question")
_NAME = re.compile(r"((?:.*/)?[^/.]+)\.([^/]+)")

Wanted = Callable[[str], bool]
"""Whether a column is to be read."""


@frozen
class WebDataset(Table):
    """Samples in tar archives: files that lie side by side and share their path up to the first dot of the name.

    Columns are what follows that dot: ``cls`` (a number), ``json`` (an object; its keys are ``json.KEY``), ``txt`` and
    other text. The picture is the column ``image`` whatever its suffix; ``left.png`` is ``left``. The first sample
    tells what there is. The id is the name of the archive with the name of the sample.

    Args:
        path: An archive, compressed or not, or with wildcards or braces several: ``train-{000..146}.tar``.
    """

    path: Path = field(converter=Path)

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"WebDataset {self.path}"

    def columns(self) -> Sequence[Column]:
        """Return the columns of the first sample."""
        _, first = next(self._samples(lambda column: True), ("", {}))
        if not first:
            raise DataError(f"{self.where} holds no sample", hint="name files KEY.jpg, KEY.cls, KEY.txt, KEY.json")
        return tuple(column for name, value in first.items() for column in _columns((name,), value))

    def rows(self, columns: Sequence[Column]) -> Iterator[Row]:
        """Iterate over the samples of all archives in order; what is not asked for is skipped, not read."""
        return self._samples({column.path[0] for column in columns}.__contains__)

    @cached_property
    def _shards(self) -> Shards:
        return Shards(self.path)

    def _samples(self, wanted: Wanted) -> Iterator[Row]:
        for path in self._shards.files:
            name = self._shards.name(path)
            try:
                for key, fields in _samples(path, wanted):
                    yield f"{name}/{key}", fields
            except (tarfile.TarError, EOFError, OSError, zlib.error, LZMAError) as error:
                reason = str(error) or "it is cut off"
                raise DataError(
                    f"archive {path} cannot be read to its end ({reason})", hint="fetch it again"
                ) from error


def _samples(path: Path, wanted: Wanted) -> Iterator[Row]:
    """Iterate over the samples of an archive: files in a row that have a key in common.

    Raises:
        DataError: A file holds what its suffix does not say, or two are the same column of a sample.
        tarfile.ReadError: The archive is cut off.
    """
    named = ((match[1], match[2], read) for name, read in _files(path) if (match := _NAME.fullmatch(name)))
    for key, files in groupby(named, key=itemgetter(0)):
        fields: dict[str, Any] = {}
        for _, suffix, read in files:
            column = _column(suffix)
            if column in fields:
                raise DataError(f"sample {key} of archive {path} has two files for {column!r}", hint="rename one")
            fields[column] = _decoded(suffix, read(), f"{key}.{suffix} of archive {path}") if wanted(column) else None
        yield key, fields


def _files(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Iterate over the names of the files in an archive, each with what reads it, until the next one.

    Raises:
        tarfile.ReadError: The archive is cut off.
    """
    with tarfile.open(path) as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # else it keeps what it knows of each file
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                yield member.name.removeprefix("./"), content.read
        # An archive that is cut off between two files looks whole to tarfile; a whole one ends in empty blocks.
        assert archive.fileobj is not None
        archive.fileobj.seek(archive.offset)
        if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("its end is missing")


def _column(suffix: str) -> str:
    if not _is_picture(suffix):
        return suffix.lower()
    return suffix.rpartition(".")[0].lower() or IMAGE


def _is_picture(suffix: str) -> bool:
    return is_image_file(Path(f"_.{suffix}"))


def _decoded(suffix: str, content: bytes, where: str) -> Any:
    kind = suffix.rpartition(".")[2].lower()
    try:
        if kind == "cls":
            return int(content)
        if kind == "json":
            return json.loads(content)
        if kind in _TEXTS:
            return content.decode()
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"file {where} is no {kind} ({reason})", hint="mend it, or fetch the archive again") from None
    return content if _is_picture(suffix) else None


def _columns(path: tuple[str, ...], value: Any) -> Iterator[Column]:
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _columns((*path, key), below)
        return
    kinds: dict[type, Kind] = {bytes: "image", int: "number", bool: "number", str: "text"}
    kind = kinds.get(type(value), "other")
    yield Column(path, kind, kind)
