"""Open Images: class names, boxes and the hierarchy of classes, each in a file of its own.

Source: https://storage.googleapis.com/openimages/web/download_v7.html
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from vlmkit.data.text import TextFile
from vlmkit.errors import DataError
from vlmkit_mimic.collection import Annotations, Scene
from vlmkit_mimic.sources.files import check_folder, missing

_COLUMNS = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax", "IsGroupOf")


@frozen
class OpenImages:
    """Open Images boxes with their image folder.

    A picture with a box around a group is left out: how many it holds is not known. With a hierarchy the
    super-categories are its inner classes, only classes without sub-classes are asked about, and a picture with a box
    of an inner class is left out: it may show any of the classes below.

    Boxes are drawn for classes that people have verified on the picture. That a class has no box does not prove that
    the picture shows none.

    Args:
        classes: The class names, such as ``oidv7-class-descriptions-boxable.csv``.
        boxes: The boxes, such as ``validation-annotations-bbox.csv``.
        images: The folder of the pictures, ``ImageID.jpg`` each.
        hierarchy: The hierarchy of classes, such as ``bbox_labels_600_hierarchy.json``.
    """

    classes: Path
    boxes: Path
    images: Path
    hierarchy: Path | None = None

    def annotations(self) -> Annotations:
        """Read the files.

        Raises:
            DataError: A file cannot be read or is wrong; the message names the line.
        """
        check_folder(self.images)
        names = _class_names(self.classes)
        groups = {} if self.hierarchy is None else _groups(self.hierarchy, names)
        scenes: dict[str, _Gathered] = {}
        for line, identifier, label, area, group in _boxes(self.boxes):
            if label not in names:
                raise _wrong(self.boxes, line, f"class {label} is not in {self.classes.name}")
            scene = scenes.setdefault(identifier, _Gathered())
            scene.objects.append((names[label], area))
            if group or names[label] in groups:
                scene.flaw = scene.flaw or ("a group of objects" if group else "a box of a super-category")
        return Annotations(
            tuple(name for name in names.values() if name not in groups),
            groups,
            [
                Scene(file, scene.objects, missing(self.images, file) or scene.flaw)
                for file, scene in ((f"{identifier}.jpg", scene) for identifier, scene in scenes.items())
            ],
        )

    def picture(self, name: str) -> Path:
        """Return the path of a picture."""
        return self.images / name

    def identity(self, name: str) -> str:
        """Return the file name: folders may be named from another place."""
        return Path(name).name


@define
class _Gathered:
    """A picture while its boxes are gathered."""

    objects: list[tuple[str, float]] = field(factory=list)
    flaw: str = ""


def _wrong(path: Path, line: int, message: str) -> DataError:
    return DataError(f"Open Images file {path}, line {line}: {message}", hint="mend it there, or fetch the file again")


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Iterate over the rows of a CSV file of any length, with their line numbers.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            try:
                for cells in reader:
                    if cells:
                        yield reader.line_num, cells
            except csv.Error as error:
                raise _wrong(path, reader.line_num, f"broken CSV ({error})") from None
            except UnicodeDecodeError:
                raise _wrong(path, reader.line_num + 1, "it is not UTF-8") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"Open Images file {path} cannot be read ({reason})", hint="check the path") from None


def _class_names(path: Path) -> dict[str, str]:
    names: dict[str, str] = {}
    for line, cells in _rows(path):
        if cells == ["LabelName", "DisplayName"]:
            continue
        if len(cells) != 2 or not all(cell.strip() for cell in cells):
            raise _wrong(path, line, "expected a class and its name")
        label, name = (cell.strip() for cell in cells)
        if label in names or name in names.values():
            raise _wrong(path, line, f"class {label} or its name {name!r} stands twice")
        names[label] = name
    return names


def _boxes(path: Path) -> Iterator[tuple[int, str, str, float, bool]]:
    """Yield line, image, class, share of the picture, and whether it is a group."""
    rows = _rows(path)
    line, header = next(rows, (1, []))
    absent = [column for column in _COLUMNS if column not in header]
    if absent:
        raise _wrong(path, line, f"no column is called {absent[0]}")
    image, label, left, right, top, bottom, group = map(header.index, _COLUMNS)
    for line, cells in rows:
        if len(cells) != len(header):
            raise _wrong(path, line, f"{len(cells)} cells, but the header has {len(header)}")
        try:
            sides = [float(cells[column]) for column in (left, right, top, bottom)]
        except ValueError as error:
            raise _wrong(path, line, str(error)) from None
        if not (0 <= sides[0] <= sides[1] <= 1 and 0 <= sides[2] <= sides[3] <= 1):
            raise _wrong(path, line, "the box does not lie between 0 and 1, from minimum to maximum")
        yield line, cells[image], cells[label], (sides[1] - sides[0]) * (sides[3] - sides[2]), cells[group] == "1"


def _groups(path: Path, names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return each class that has sub-classes, but the root, with all classes below it that have none."""
    file = TextFile(path, "Open Images hierarchy", DataError)
    groups: dict[str, dict[str, None]] = {}

    def below(node: Any, at: str) -> list[str]:
        children = node.get("Subcategory", []) if isinstance(node, dict) else None
        if not isinstance(children, list) or not isinstance(node.get("LabelName"), str):
            raise file.wrong("expected an object with LabelName", at=at, hint="fetch the file again")
        label = node["LabelName"]
        if not children:
            if label not in names:
                raise file.wrong(f"class {label} has no name", at=at, hint="give the class names of the same release")
            return [names[label]]
        leaves = [leaf for index, child in enumerate(children) for leaf in below(child, f"{at}.Subcategory[{index}]")]
        if label in names:
            groups.setdefault(names[label], {}).update(dict.fromkeys(leaves))
        return leaves

    below(file.json(file.read()), "the top")
    return {group: tuple(leaves) for group, leaves in groups.items()}
