"""Pictures listed in a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import evolve, field, fields_dict, frozen

from vlmkit import Example, Label, LabelSpace
from vlmkit.data.text import TextFile
from vlmkit.errors import DataError, LabelError
from vlmkit.redaction import redacted
from vlmkit.types import ImageUrl


@frozen
class _Row:
    """One line, as written."""

    image: str | None = None
    images: tuple[str, ...] = ()
    label: str | None = None
    target: str | None = None
    id: str | None = None
    question: str | None = None


@frozen
class Manifest:
    """Examples listed in a CSV or JSONL file.

    Keys, or columns: ``image``, a path relative to the file, or an address, or ``images``, several (in CSV separated by
    "|"); ``label`` or ``target``, ``id`` (default: the image) and ``question`` as they are known. Others are ignored. A
    picture that is missing fails when it is opened. The labels are the targets in sorted order.

    Args:
        path: The file.
        image_root: The only folder that pictures may lie in, wherever links lead; without it they may lie anywhere.

    Raises:
        DataError: The file cannot be read, or a line of it is wrong; the message names the line.
    """

    path: Path
    image_root: Path | None = None
    labels: LabelSpace = field(init=False, repr=False)
    _examples: tuple[Example, ...] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        file = TextFile(self.path, "manifest", DataError)
        readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows}
        if self.path.suffix.lower() not in readers:
            raise file.wrong("its suffix does not say what it holds", hint=f"name it {' or '.join(readers)}")
        examples: dict[str, Example] = {}
        lines: dict[str, int] = {}
        for line, row in readers[self.path.suffix.lower()](file):
            example = _example(file, line, row, self.image_root)
            if example.id in lines:
                raise file.wrong(
                    f"id {example.id!r} stands there and in line {lines[example.id]}",
                    at=f"line {line}",
                    hint="give every line an id of its own",
                )
            examples[example.id], lines[example.id] = example, line
        if not examples:
            raise file.wrong("it lists no examples", hint="see docs/data.md")
        targets = {example.target for example in examples.values() if example.target is not None}
        object.__setattr__(self, "_examples", tuple(examples.values()))
        object.__setattr__(self, "labels", LabelSpace(sorted(targets)))

    def __len__(self) -> int:
        return len(self._examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self._examples)


def _csv_rows(file: TextFile) -> Iterator[tuple[int, _Row]]:
    for line, cells in file.rows(one_of=("image", "images")):
        row = _row(file, line, {key: cell for key, cell in cells.items() if key != "images"})
        images = (image.strip() for image in cells.get("images", "").split("|"))
        yield line, evolve(row, images=tuple(image for image in images if image))


def _jsonl_rows(file: TextFile) -> Iterator[tuple[int, _Row]]:
    for line, text in file.lines():
        yield line, _row(file, line, file.json(text, line=line))


def _row(file: TextFile, line: int, value: Any) -> _Row:
    known = {key: value[key] for key in fields_dict(_Row) if key in value} if isinstance(value, dict) else value
    return file.structure(known, _Row, at=f"line {line}")


def _example(file: TextFile, line: int, row: _Row, root: Path | None) -> Example:
    """Check what the columns say together.

    Raises:
        DataError: There is not one image or list of images, two different targets, a target that is no label, or
            an image outside the root.
    """
    at = f"line {line}"
    images = (row.image,) if row.image else row.images
    if not images:
        raise file.wrong("it names no image", at=at, hint="fill in image or images")
    if row.image and row.images:
        raise file.wrong("it has both image and images", at=at, hint="keep one")
    if row.label and row.target and row.label != row.target:
        raise file.wrong(f"label {row.label!r} and target {row.target!r} differ", at=at, hint="keep one")
    target = row.label or row.target or None
    try:
        target = target and Label(target).name
    except LabelError as error:
        raise file.wrong(error.message, at=at, hint=error.hint) from None
    return Example(
        id=row.id or "|".join(map(redacted, images)),
        images=tuple(_source(file, at, image, root) for image in images),
        target=target,
        question=row.question or None,
    )


def _source(file: TextFile, at: str, image: str, root: Path | None) -> Path | ImageUrl:
    """Return where an image is; under a root the path is the resolved one, so that what was checked is what is opened.

    Raises:
        DataError: It lies outside the root.
    """
    if ImageUrl.reads(image):
        return ImageUrl(image)
    path = file.path.parent / image
    if root is None:
        return path
    inside, place = root.resolve(), path.resolve()
    if ".." in Path(image).parts or not place.is_relative_to(inside):
        raise file.wrong(f"image {image} leaves {root}", at=at, hint="move it there, or give another --image-root")
    return place
