"""Data sets of the Hugging Face Hub, and local ones in its forms."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from attrs import frozen

from vlmkit.errors import DataError
from vlmkit_hf.columns import Column
from vlmkit_hf.features import columns_of
from vlmkit_hf.packages import needed
from vlmkit_hf.table import Row, Table

_SAVED = ("state.json", "dataset_dict.json")
"""Files by which a folder that ``save_to_disk`` wrote is known."""

_SAMPLE = 100
"""Rows of a stream whose files do not say what is in them that tell it."""


@frozen
class HubDataset(Table):
    """A split of a data set that the package ``datasets`` can load. No code that comes with one ever runs.

    The id is the split with the number of the row.

    Args:
        name: Name on the Hub, or a local folder: of pictures, of files such as Parquet, JSON or CSV, or one that
            ``save_to_disk`` wrote. Also one such file.
        split: The split, in the words of ``datasets``: ``test``, ``train[:100]``. It may be left out if there is one.
        config: The configuration, where the data set has several.
        revision: Branch, tag or commit on the Hub.
        streaming: Whether rows are read as they come and nothing is written to the cache.
    """

    name: str
    split: str | None = None
    config: str | None = None
    revision: str | None = None
    streaming: bool = False

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"data set {self.name}"

    @property
    def root(self) -> Path | None:
        """The local folder, if it is one."""
        return self._local.parent if self._local.is_file() else self._local if self._local.is_dir() else None

    def columns(self) -> Sequence[Column]:
        """Return the columns of the split."""
        return columns_of(self._opened.features)

    def rows(self, columns: Sequence[Column]) -> Iterator[Row]:
        """Iterate over the rows; of Parquet files that are streamed the other columns are not even fetched."""
        names = list(dict.fromkeys(column.path[0] for column in columns))
        with _told(self.where):
            for number, row in enumerate(self._narrowed(names)):
                yield f"{self._split}/{number}", row

    def _narrowed(self, names: list[str]) -> Any:
        """The split with these columns alone, pictures undecoded."""
        opened = self._opened
        if not names:
            return opened.select_columns([])
        fetched = self._load(columns=names) if self.streaming and opened.info.builder_name == "parquet" else opened
        return fetched.select_columns(names).decode(False)

    @cached_property
    def _opened(self) -> Any:
        """The split as an ``IterableDataset`` of known features."""
        with _told(self.where):
            opened = self._saved[self._split].to_iterable_dataset() if self._saved else self._load()
            if opened.features is not None:
                return opened
            return opened.cast(needed("datasets").Dataset.from_list(list(opened.take(_SAMPLE))).features)

    @cached_property
    def _split(self) -> str:
        """The split that was asked for, or the only one.

        Raises:
            DataError: There are several to choose from, or a saved data set has no such split.
        """
        if self.split is not None and not self._saved:
            return self.split  # in the words of datasets, which knows what they mean
        with _told(self.where):
            there = list(
                self._saved or needed("datasets").get_dataset_split_names(config_name=self.config, **self._source)
            )
        if self.split in there or (self.split is None and len(there) == 1):
            return self.split or there[0]
        problem = f"no split {self.split}" if self.split else f"{len(there)} splits"
        raise DataError(
            f"{self.where} has {problem}; there are {', '.join(there)}", hint=f"write hf:{self.name}:{there[0]}"
        )

    @cached_property
    def _saved(self) -> Mapping[str, Any]:
        """The splits in a folder that ``save_to_disk`` wrote, by name; none in any other."""
        if not any((self._local / file).is_file() for file in _SAVED):
            return {}
        datasets = needed("datasets")
        loaded = datasets.load_from_disk(str(self._local))
        return loaded if isinstance(loaded, datasets.DatasetDict) else {str(loaded.split or "all"): loaded}

    def _load(self, **options: Any) -> Any:
        datasets = needed("datasets")
        if not sys.stderr.isatty():
            datasets.disable_progress_bars()
        loaded = datasets.load_dataset(
            name=self.config, split=self._split, streaming=self.streaming, **self._source, **options
        )
        return loaded if self.streaming else loaded.to_iterable_dataset()

    @property
    def _local(self) -> Path:
        return Path(os.path.expanduser(self.name))

    @property
    def _source(self) -> dict[str, Any]:
        """Where ``datasets`` finds it; it calls a local one by its folder, which for ``.`` has no name."""
        # Links stay: those of the Hub's cache lead to files without a suffix.
        place = Path(os.path.abspath(self._local))
        if self._local.is_file():
            return {"path": str(place.parent), "data_files": place.name}
        return {"path": str(place) if self._local.is_dir() else self.name, "revision": self.revision}


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Turn what ``datasets`` and the libraries below it raise into one line.

    Raises:
        DataError: Something was raised.
    """
    kinds = needed("datasets.exceptions")
    try:
        yield
    except (kinds.DatasetsError, OSError, ValueError, RuntimeError) as error:
        told = error.__cause__ if isinstance(error, kinds.DatasetGenerationError) else error
        reason = " ".join(str(told or error).split()).rstrip(".")
        hints = {
            kinds.DatasetNotFoundError: "check the name; for a private or gated one run `hf auth login`",
            ConnectionError: "check the network, or give a local folder; what was fetched before works offline",
        }
        hint = next((hint for kind, hint in hints.items() if isinstance(error, kind)), "see docs/hugging-face.md")
        raise DataError(f"{where}: {reason}", hint=hint) from error
