"""A question bank: a JSONL file with a header and, for each image, the questions about it, one a level.

Header: ``questions`` (version of the format), ``data`` (where the images are), ``taxonomy`` (``ranks``, ``root``, the
``paths`` of all leaves) and what made the bank. Other lines: ``image``, ``path`` (the right names, top first) and
``questions``, each with ``level``, ``options`` and ``answer``, the letter of the right option.
"""

from __future__ import annotations

import json
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from attrs import field, frozen
from attrs.validators import ge

from vlmkit import Taxonomy
from vlmkit.errors import DataError, TaxonomyError
from vlmkit.runs.convert import dumps
from vlmkit.types.tuples import as_tuple
from vlmkit_hierarchy.jsonl import Line, json_lines

FORMAT = 1
"""Version of the format."""

LETTERS = string.ascii_uppercase
"""What stands for the options of a question, in order."""


def letter_index(letter: str) -> int:
    """Return the place of a letter.

    Raises:
        ValueError: It is no single capital letter.
    """
    if len(letter) != 1 or letter not in LETTERS:
        raise ValueError(f"{letter!r} is no letter from {LETTERS[0]} to {LETTERS[-1]}")
    return LETTERS.index(letter)


@frozen
class Question:
    """Which of these nodes of one level is it?

    Args:
        level: The level, 1 below the root.
        options: Names of nodes of that level, in the order shown, at least two.
        answer: Index of the right one.
    """

    level: int = field(validator=ge(1))
    options: tuple[str, ...] = field(converter=as_tuple)
    answer: int

    def __attrs_post_init__(self) -> None:
        if not 2 <= len(set(self.options)) == len(self.options) <= len(LETTERS):
            raise ValueError(f"a question has 2 to {len(LETTERS)} different options")
        if not 0 <= self.answer < len(self.options):
            raise ValueError("the answer is none of the options")

    @property
    def right(self) -> str:
        """The right option."""
        return self.options[self.answer]


@frozen
class Sheet:
    """The questions about one image.

    Args:
        image: Its id in the data set.
        path: The right names, the first level below the root first.
        questions: At most one a level, top first; none at levels where there is nothing to choose.
    """

    image: str
    path: tuple[str, ...] = field(converter=as_tuple)
    questions: tuple[Question, ...] = field(converter=as_tuple)

    def __attrs_post_init__(self) -> None:
        levels = [question.level for question in self.questions]
        if levels != sorted(set(levels)) or not set(levels) <= set(range(1, len(self.path) + 1)):
            raise ValueError(f"questions at the levels {levels} of a path of {len(self.path)} levels")
        for question in self.questions:
            if question.right != self.path[question.level - 1]:
                raise ValueError(
                    f"at level {question.level} the answer is {question.right!r}, but the path says otherwise"
                )

    @property
    def graded(self) -> tuple[str | None, ...]:
        """The right names, None at levels without a question."""
        asked = {question.level for question in self.questions}
        return tuple(name if level in asked else None for level, name in enumerate(self.path, start=1))

    def to_json(self) -> bytes:
        """Return the line of the file."""
        questions = [
            {"level": question.level, "options": question.options, "answer": LETTERS[question.answer]}
            for question in self.questions
        ]
        return dumps({"image": self.image, "path": self.path, "questions": questions}) + b"\n"

    @classmethod
    def of(cls, line: Line) -> Self:
        """Read a line of the file.

        Raises:
            DataError: It is no sheet; the message names the line.
        """
        try:
            questions = [
                Question(one.integer("level"), one.texts("options"), letter_index(one.text("answer")))
                for one in line.objects("questions")
            ]
            return cls(line.text("image"), line.texts("path"), questions)
        except ValueError as error:
            raise line.wrong(str(error.args[0])) from None


@frozen
class Bank:
    """An open question bank. Sheets are read when they are asked for: only their places are held.

    Args:
        path: The file.
        header: Its first line.
        taxonomy: The tree that the questions are about.
        places: Offset of each image's line in bytes, by the image's id.
    """

    path: Path
    header: Mapping[str, Any] = field(repr=False)
    taxonomy: Taxonomy
    places: Mapping[str, int] = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a bank and check every line of it.

        Raises:
            DataError: It cannot be read, or a line is wrong; the message names the line.
        """
        lines = json_lines(path, "question file")
        first = next(lines, None)
        if first is None or first.value.get("questions") != FORMAT:
            raise DataError(
                f"{path} does not begin with the header of a question file", hint="vlmkit hierarchy questions makes one"
            )
        places: dict[str, int] = {}
        for line in lines:
            sheet = Sheet.of(line)
            if sheet.image in places:
                raise line.wrong(f"image {sheet.image!r} stands twice", hint="remove one of the lines")
            places[sheet.image] = line.offset
        if not places:
            raise DataError(f"question file {path} holds no questions", hint="make it again")
        return cls(path, first.value, _taxonomy(first), places)

    def sheet(self, image: str) -> Sheet:
        """Return the questions about an image.

        Raises:
            KeyError: There are none.
        """
        with self.path.open("rb") as file:
            file.seek(self.places[image])
            return Sheet.of(Line(self.path, "question file", 0, self.places[image], json.loads(file.readline())))

    def __iter__(self) -> Iterator[Sheet]:
        lines = json_lines(self.path, "question file")
        next(lines)
        return map(Sheet.of, lines)

    def __len__(self) -> int:
        return len(self.places)


def _taxonomy(header: Line) -> Taxonomy:
    held = header.object("taxonomy")
    paths = held.value.get("paths")
    if not isinstance(paths, list) or not all(isinstance(path, list) for path in paths):
        raise held.wrong("paths is no list of paths")
    try:
        return Taxonomy(paths, held.texts("ranks"), held.text("root"))
    except TaxonomyError as error:
        raise held.wrong(error.message, hint=error.hint) from None
