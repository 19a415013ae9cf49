"""A benchmark file: a header that says how it was made, then one item a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from attrs import field, frozen
from cattrs import BaseValidationError, Converter, transform_error

from vlmkit.data.text import TextFile
from vlmkit.errors import DataError
from vlmkit.types.tuples import as_tuple
from vlmkit_mimic.cells import Cell, Sweeps
from vlmkit_mimic.wording import WORDING, Wording

FORMAT = 1
"""Version of the files."""

T = TypeVar("T")


@frozen
class Settings:
    """Everything that makes one benchmark differ from another made from the same source.

    Args:
        sweeps: The values of each control.
        items: Items of each cell; in training data, of all cells together.
        seed: Seed of every random choice.
        min_area: Smallest share of a picture that a box may cover, from 0 to 1.
        pool: Classes that may be asked about: their names, a number of them to draw, or all where it is empty.
        shuffle: Whether images stand in random order; else those with instances come first.
        wording: Templates of the questions.
    """

    sweeps: Sweeps = field(factory=Sweeps)
    items: int = 50
    seed: int = 0
    min_area: float = 0.05
    pool: int | tuple[str, ...] = ()
    shuffle: bool = True
    wording: Wording = field(default=WORDING)


@frozen
class CellPlan:
    """What became of one cell.

    Args:
        key: The cell's name.
        items: How many items it has.
        infeasible: Why it has none, or an empty string.
    """

    key: str
    items: int
    infeasible: str = ""


@frozen
class Header:
    """The first line of a benchmark.

    Args:
        mimic: Version of the format.
        version: Version of vlmkit that made it.
        source: Spec of the source.
        images: The folder of the pictures, relative to the file; None where they are drawn.
        settings: How it was made.
        digest: Digest of source and settings, with which every id ends.
        classes: Names of all classes of the source.
        pictures: Pictures that could be used.
        dropped: Pictures that were left out, by reason.
        cells: What became of each cell.
    """

    mimic: int
    version: str
    source: str
    images: str | None
    settings: Settings
    digest: str
    classes: tuple[str, ...]
    pictures: int
    dropped: Mapping[str, int]
    cells: tuple[CellPlan, ...]


@frozen
class Item:
    """One question.

    Args:
        id: Cell, number and digest, such as ``counting-n4-s2-d2-c1-t4/0007@1f0c2a9b``.
        task: The task.
        images: Names of the pictures, in the order shown.
        question: The question.
        gt: The right answer, as a text.
        answer: The classes that the right answer names, with their instances in all images.
        factors: The controls, and ``wording``: which template the question is made from, from 0.
        group: The super-category that is asked about, or None.
    """

    id: str
    task: str
    images: tuple[str, ...] = field(converter=as_tuple)
    question: str
    gt: str
    answer: Mapping[str, int]
    factors: Mapping[str, int]
    group: str | None = None

    @property
    def cell(self) -> str:
        """The name of the item's cell."""
        return self.id.partition("/")[0]


def factors(cell: Cell, wording: int) -> dict[str, int]:
    """Return the controls of a cell by the names under which figures are sorted."""
    controls = {
        "images": cell.images,
        "spread": cell.spread,
        "distractors": cell.distractors,
        "classes": cell.classes,
        "wording": wording,
    }
    return controls | ({"total": cell.total} if cell.task == "counting" else {})


_converter = Converter(unstruct_collection_overrides={tuple: list})


@_converter.register_structure_hook
def _pool(value: Any, _: Any) -> int | tuple[str, ...]:
    return value if isinstance(value, int) else tuple(map(str, value))


def to_json(value: Header | Item) -> Any:
    """Return a line as plain JSON values."""
    return _converter.unstructure(value)


@frozen
class Benchmark:
    """A benchmark file.

    Args:
        path: The file.
        header: Its first line.
        items: The questions.
    """

    path: Path
    header: Header
    items: tuple[Item, ...] = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Benchmark:
        """Read a file.

        Raises:
            DataError: It cannot be read, is no benchmark, or a line of it is wrong.
        """
        file = TextFile(path, "benchmark", DataError)
        lines = _values(file)
        number, first = next(lines, (1, None))
        if not isinstance(first, dict) or "mimic" not in first:
            raise file.wrong("it has no header", at="line 1", hint="make one with vlmkit mimic build")
        if first["mimic"] != FORMAT:
            raise file.wrong(
                f"its format is {first['mimic']}, not {FORMAT}", at="line 1", hint="build it again with this version"
            )
        header = _structured(file, number, first, Header)
        items = tuple(_structured(file, number, value, Item) for number, value in lines)
        if not items:
            raise file.wrong("it has no items", hint="build it again")
        return cls(path, header, items)


def _values(file: TextFile) -> Iterator[tuple[int, Any]]:
    for number, line in file.lines():
        yield number, file.json(line, line=number)


def _structured(file: TextFile, number: int, value: Any, kind: type[T]) -> T:
    try:
        return _converter.structure(value, kind)
    except BaseValidationError as error:
        raise file.wrong(
            "; ".join(transform_error(error, path="the line")), at=f"line {number}", hint="build it again"
        ) from error
