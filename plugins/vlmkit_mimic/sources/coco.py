"""COCO: one JSON file of images, categories and boxes.

Source: https://cocodataset.org/#format-data, "Object Detection".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from vlmkit.data.text import TextFile
from vlmkit.errors import DataError, UserError
from vlmkit_mimic.collection import Annotations, Scene
from vlmkit_mimic.sources.files import check_folder, missing


@frozen
class Coco:
    """COCO instances with their image folder.

    A picture with a crowd region is left out: how many it holds is not known.

    Args:
        annotations_file: An instances file, such as ``instances_train2017.json``.
        images: The folder of the pictures.
    """

    annotations_file: Path = field(alias="annotations")
    images: Path

    def annotations(self) -> Annotations:
        """Read the file.

        Raises:
            DataError: It cannot be read or is wrong; the message names the entry, such as ``annotations[17].bbox``.
        """
        check_folder(self.images)
        return _Reader(TextFile(self.annotations_file, "COCO file", DataError), self.images).read()

    def picture(self, name: str) -> Path:
        """Return the path of a picture."""
        return self.images / name

    def identity(self, name: str) -> str:
        """Return the file name: folders may be named from another place."""
        return Path(name).name


@define
class _Image:
    """A picture while its boxes are gathered."""

    name: str
    area: float
    objects: list[tuple[str, float]] = field(factory=list)
    flaw: str = ""


@frozen
class _Reader:
    """Reads one file; every check names the place in it."""

    file: TextFile
    folder: Path

    def read(self) -> Annotations:
        content = self.file.json(self.file.read())
        if not isinstance(content, dict):
            raise self._wrong("expected an object", "the top")
        classes: dict[Any, str] = {}
        groups: dict[str, list[str]] = {}
        for at, entry in self._entries(content, "categories"):
            name = self._text(entry, "name", at)
            if name in classes.values():
                raise self._wrong(f"category {name!r} stands twice", f"{at}.name")
            self._add(classes, entry, at, name)
            groups.setdefault(str(entry.get("supercategory") or ""), []).append(name)
        images: dict[Any, _Image] = {}
        for at, entry in self._entries(content, "images"):
            area = self._number(entry, "width", at) * self._number(entry, "height", at)
            if area <= 0:
                raise self._wrong("width and height are not above 0", at)
            name = self._text(entry, "file_name", at)
            self._add(images, entry, at, _Image(name, area, flaw=missing(self.folder, name)))
        for at, entry in self._entries(content, "annotations"):
            image = self._known(images, entry, "image_id", at, "images")
            name = self._known(classes, entry, "category_id", at, "categories")
            width, height = self._size(entry, at)
            image.objects.append((name, width * height / image.area))
            if entry.get("iscrowd"):
                image.flaw = image.flaw or "a crowd"
        return Annotations(
            tuple(classes.values()),
            {group: tuple(names) for group, names in groups.items() if group},
            [Scene(image.name, image.objects, image.flaw) for image in images.values()],
        )

    def _entries(self, content: Mapping[str, Any], key: str) -> Iterator[tuple[str, dict[str, Any]]]:
        entries = content.get(key)
        if not isinstance(entries, list):
            raise self._wrong(f"there is no list {key}", "the top", hint="give an instances file of COCO")
        for index, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise self._wrong("expected an object", f"{key}[{index}]")
            yield f"{key}[{index}]", entry

    def _add(self, known: dict[Any, Any], entry: Mapping[str, Any], at: str, value: object) -> None:
        identifier = entry.get("id")
        if not isinstance(identifier, int):
            raise self._wrong("id is no whole number", at)
        if identifier in known:
            raise self._wrong(f"id {identifier} stands twice", f"{at}.id")
        known[identifier] = value

    def _known(self, known: Mapping[Any, Any], entry: Mapping[str, Any], key: str, at: str, where: str) -> Any:
        identifier = entry.get(key)
        if not isinstance(identifier, int) or identifier not in known:
            raise self._wrong(f"{identifier!r} is no id of {where}", f"{at}.{key}")
        return known[identifier]

    def _text(self, entry: Mapping[str, Any], key: str, at: str) -> str:
        value = entry.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(f"{key} is no text", at)
        return value.strip()

    def _number(self, entry: Mapping[str, Any], key: str, at: str) -> float:
        value = entry.get(key)
        if not isinstance(value, int | float):
            raise self._wrong(f"{key} is no number", at)
        return value

    def _size(self, entry: Mapping[str, Any], at: str) -> tuple[float, float]:
        box = entry.get("bbox")
        if not isinstance(box, list) or len(box) != 4 or not all(isinstance(one, int | float) for one in box):
            raise self._wrong("it is no list of x, y, width, height", f"{at}.bbox")
        if box[2] < 0 or box[3] < 0:
            raise self._wrong("width or height is below 0", f"{at}.bbox")
        return box[2], box[3]

    def _wrong(self, message: str, at: str, hint: str = "mend it there") -> UserError:
        return self.file.wrong(message, at=at, hint=hint)
