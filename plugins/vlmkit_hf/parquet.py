"""Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from attrs import field, frozen

from vlmkit.errors import DataError
from vlmkit_hf.columns import Column
from vlmkit_hf.features import columns_of
from vlmkit_hf.packages import needed
from vlmkit_hf.shards import Shards
from vlmkit_hf.table import Row, Table

BATCH = 64
"""Rows read at once: more cost memory, for pictures lie in them."""

BUFFER = 2**16
"""Bytes read at once; without it pyarrow reads a column of a whole row group, often all pictures of a file."""


@frozen
class Parquet(Table):
    """Rows of Parquet files, read from where they lie, a few at a time.

    Types that the package ``datasets`` wrote (pictures, classes) are understood; other files hold pictures as bytes.
    The id is the name of the file with the number of the row.

    Args:
        path: A file or, with wildcards or braces, several of the same columns.
    """

    path: Path = field(converter=Path)

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"Parquet file {self.path}"

    def columns(self) -> Sequence[Column]:
        """Return the columns of the first file, without those of types that ``datasets`` has none for, as maps."""
        features, path = needed("datasets").Features, self._shards.files[0]
        with _opened(path) as file:
            written = file.schema_arrow
        known = [column for column in written if _is_known(column, features)]
        try:
            return columns_of(features.from_arrow_schema(needed("pyarrow").schema(known, written.metadata)))
        except (ValueError, TypeError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise DataError(
                f"Parquet file {path}: what it says of its columns makes no sense ({reason})",
                hint="pip install -U datasets, or write it anew",
            ) from error

    def rows(self, columns: Sequence[Column]) -> Iterator[Row]:
        """Iterate over the rows of all files in order."""
        names = list(dict.fromkeys(column.path[0] for column in columns))
        for path in self._shards.files:
            name, number = self._shards.name(path), 0
            with _opened(path) as file:
                absent = [column for column in names if column not in file.schema_arrow.names]
                if absent:
                    raise DataError(
                        f"Parquet file {path} has no column {absent[0]!r}", hint="take it out of the pattern"
                    )
                batches = file.iter_batches(BATCH, columns=names)
                while (batch := _next(batches, path, number)) is not None:
                    for row in batch.to_pylist() if names else [{}] * batch.num_rows:
                        yield f"{name}/{number}", row
                        number += 1

    @cached_property
    def _shards(self) -> Shards:
        return Shards(self.path)


def _opened(path: Path) -> Any:
    parquet = needed("pyarrow.parquet")
    try:
        return parquet.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False)
    except (ValueError, OSError) as error:  # pyarrow's own errors are these
        raise _broken(path, error) from error


def _is_known(column: Any, features: Any) -> bool:
    try:
        features.from_arrow_schema(needed("pyarrow").schema([column]))
    except ValueError:
        return False
    return True


def _next(batches: Iterator[Any], path: Path, number: int) -> Any:
    try:
        return next(batches, None)
    except (ValueError, OSError) as error:
        raise _broken(f"{path}, from row {number} on", error) from error


def _broken(place: object, error: Exception) -> DataError:
    reason = " ".join(str(error).split()).rstrip(".")
    return DataError(f"Parquet file {place}: it cannot be read ({reason})", hint="fetch it again")
