"""The data set ``mimic``: the questions of a benchmark file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from pathlib import Path

from attrs import field, frozen

from vlmkit import Example, LabelSpace
from vlmkit.errors import DataError
from vlmkit.types import ImageSource
from vlmkit_mimic.benchmark import Benchmark
from vlmkit_mimic.sources import Source, build_source
from vlmkit_mimic.sources.files import check_folder

_PICTURES_KEPT = 4096
"""Drawn pictures that are kept: at 27 KB each some 110 MB."""


@frozen(slots=False)
class Mimic:
    """Questions over several images.

    The target of an example is its right answer as a text. There are no labels: every example has a question.

    Args:
        file: A file of ``vlmkit mimic build``.
        images: The folder of the pictures; by default where it was when the file was made, seen from the file.

    Raises:
        DataError: The file cannot be read or is wrong, or the folder of the pictures is not there.
    """

    path: Path = field(alias="file")
    folder: Path | None = field(default=None, alias="images")

    def __attrs_post_init__(self) -> None:
        if self.source.images is not None:
            check_folder(self.source.images)

    @cached_property
    def benchmark(self) -> Benchmark:
        """The file."""
        return Benchmark.read(self.path)

    @cached_property
    def source(self) -> Source:
        """Where the pictures come from."""
        header = self.benchmark.header
        if header.images is None:
            if self.folder is not None:
                raise DataError(f"the pictures of {self.path} are drawn on the spot", hint="leave images out")
            return build_source(header.source)
        return build_source(header.source, images=self.folder or self.path.parent / header.images)

    @property
    def labels(self) -> LabelSpace:
        """No labels."""
        return LabelSpace(())

    def __len__(self) -> int:
        return len(self.benchmark.items)

    def __iter__(self) -> Iterator[Example]:
        # Items share pictures, and a run looks through them twice: what is drawn is drawn once.
        for item in self.benchmark.items:
            images = [self._picture(name) for name in item.images]
            yield Example(id=item.id, images=images, target=item.gt, question=item.question)

    @cached_property
    def _picture(self) -> Callable[[str], ImageSource]:
        return lru_cache(maxsize=_PICTURES_KEPT)(self.source.picture)
