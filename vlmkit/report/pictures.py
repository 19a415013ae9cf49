"""The pictures of a report's examples: found in their data sets, scaled down, and written into the page."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO

import PIL.Image
from attrs import frozen

from vlmkit.data.images import open_image
from vlmkit.engine.feed import Feed
from vlmkit.errors import ImageError, UserError
from vlmkit.registry import Builder, Spec
from vlmkit.registry.source import dataset_spec
from vlmkit.report.subject import Outcome, Subject
from vlmkit.types import Example

PICTURES_SHOWN = 4
"""Pictures of one example that a report keeps."""

_AHEAD = 32
_QUALITY = 80

Key = tuple[str, str]
"""Spec of a data set, and the id of an example in it."""


@frozen
class Thumbnails:
    """Makes small pictures.

    Args:
        builder: Opens data sets.
        most: Most examples to make them for; those that are not right come first.
        size: Longest side, in pixels.
        data: Where the pictures are now, as DATA of ``vlmkit run``; by default where each run found them.
        warn: Told when a data set has gone.
    """

    builder: Builder
    most: int
    size: int
    data: str | None
    warn: Callable[[str], None]

    def of(self, subjects: Iterable[Subject]) -> dict[Key, list[str]]:
        """Return ``data:`` addresses of the pictures of each example that they could be made for."""
        wanted: dict[str, set[str]] = {}
        for data, example in self._wanted(subjects):
            wanted.setdefault(data, set()).add(example)
        made: dict[Key, list[str]] = {}
        for data, ids in wanted.items():
            try:
                made.update({(data, name): pictures for name, pictures in self._from(data, ids)})
            except UserError as error:
                self.warn(f"no pictures of {data}: {error.message}; --data says where they are now")
        return made

    def _wanted(self, subjects: Iterable[Subject]) -> list[Key]:
        right: dict[Key, bool] = {}
        for subject in subjects:
            for record in subject.records:
                key = subject.data, record.id
                right[key] = right.get(key, True) and Outcome.of(record) is Outcome.RIGHT
        return sorted(right, key=lambda key: right[key])[: self.most]

    def _from(self, data: str, ids: set[str]) -> Iterator[tuple[str, list[str]]]:
        spec = Spec.parse(data) if self.data is None else dataset_spec(self.data, self.builder.registry)
        waiting = set(ids)
        with Feed(_chosen(self.builder.dataset(spec), waiting), self._pictures, _AHEAD) as feed:
            for example, future in feed:
                pictures = future.result()
                if pictures:
                    yield example.id, pictures

    def _pictures(self, example: Example) -> list[str]:
        try:
            return [
                _address(open_image(source, name=example.id).pixels, self.size)
                for source in example.images[:PICTURES_SHOWN]
            ]
        except ImageError:  # the record of its example says so already, or it changed since
            return []


def _chosen(examples: Iterable[Example], waiting: set[str]) -> Iterator[Example]:
    for example in examples:
        if example.id in waiting:
            waiting.remove(example.id)
            yield example
        if not waiting:
            return


def _address(picture: PIL.Image.Image, size: int) -> str:
    small = picture.copy()
    small.thumbnail((size, size))
    encoded = BytesIO()
    small.save(encoded, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode()}"
