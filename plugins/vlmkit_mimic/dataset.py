"""The data set ``mimic``: the questions of a benchmark file."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from attrs import field, frozen

from vlmkit import Example, LabelSpace
from vlmkit_mimic.benchmark import Benchmark
from vlmkit_mimic.sources import Source, build_source
from vlmkit_mimic.sources.files import check_folder


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
        folder = self.source.images
        if folder is not None:
            check_folder(folder)

    @cached_property
    def benchmark(self) -> Benchmark:
        """The file."""
        return Benchmark.read(self.path)

    @cached_property
    def source(self) -> Source:
        """Where the pictures come from."""
        header = self.benchmark.header
        beside = None if header.images is None else self.path.parent / header.images
        return build_source(header.source, images=self.folder or beside)

    @property
    def labels(self) -> LabelSpace:
        """No labels."""
        return LabelSpace(())

    def __len__(self) -> int:
        return len(self.benchmark.items)

    def __iter__(self) -> Iterator[Example]:
        for item in self.benchmark.items:
            images = [self.source.picture(name) for name in item.images]
            yield Example(id=item.id, images=images, target=item.gt, question=item.question)
