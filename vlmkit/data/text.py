"""Text files that users bring (lists, tables, JSON), with errors that say where they are wrong."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import cattrs
from attrs import frozen

from vlmkit.errors import UserError

T = TypeVar("T")

_CONVERTER = cattrs.Converter(forbid_extra_keys=True)


@_CONVERTER.register_structure_hook
def _text(value: Any, _: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("not a text")
    return str(value).strip()


def _texts(value: Any, _: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError("not a list of texts")
    return tuple(_text(item, str) for item in value)


_CONVERTER.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _texts)


@frozen
class TextFile:
    """A UTF-8 text file; line ends of all systems and a byte-order mark are understood.

    Args:
        path: The file.
        what: What messages call it, such as "label file".
        error: The error that it raises.
    """

    path: Path
    what: str
    error: type[UserError]

    def wrong(self, message: str, *, at: str = "", hint: str = "") -> UserError:
        """Return the error that names the file, the place in it and what is wrong there."""
        return self.error(f"{self.what} {self.path}{f', {at}' if at else ''}: {message}", hint=hint)

    def read(self) -> str:
        """Return the whole text.

        Raises:
            UserError: The file is missing, unreadable, a folder, or not UTF-8.
        """
        try:
            data = self.path.read_bytes()
            return data.decode("utf-8").removeprefix("\ufeff")
        except FileNotFoundError:
            raise self.wrong("there is no such file", hint="check the path") from None
        except IsADirectoryError:
            raise self.wrong("it is a folder", hint="name a file in it") from None
        except PermissionError:
            raise self.wrong("you have no permission to read it", hint="change its permissions") from None
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            byte = data[error.start]
            raise self.wrong(
                f"byte {error.start + 1} (0x{byte:02x}) is not UTF-8", at=f"line {line}", hint="save it as UTF-8"
            ) from None
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            raise self.wrong(f"it cannot be read ({reason})", hint="check the path") from error

    def lines(self) -> Iterator[tuple[int, str]]:
        """Iterate over the lines that are not blank, with their numbers from 1."""
        for number, line in enumerate(io.StringIO(self.read(), newline=None), start=1):
            if line.strip():
                yield number, line.rstrip("\n")

    def rows(self, *, one_of: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
        """Iterate over the rows of a CSV file with their line numbers: column to cell, trimmed, without empty cells.

        Args:
            one_of: Columns of which the header, in any case, must have one.

        Raises:
            UserError: The header has none of ``one_of``, or a row does not fit it.
        """
        cells = self.cells()
        _, header = next(cells)
        columns = [column.lower() for column in header]
        if not set(one_of) & set(columns):
            raise self.wrong(
                f"no column is called {' or '.join(one_of)}; found: {', '.join(columns) or 'none'}",
                at="line 1",
                hint="name the columns in the first line, separated by commas",
            )
        for line, row in cells:
            yield line, {column: cell for column, cell in zip(columns, row, strict=False) if cell}

    def cells(self) -> Iterator[tuple[int, list[str]]]:
        """Iterate over the cells of a CSV file with their line numbers, trimmed: the header first, then rows with any.

        Raises:
            UserError: A row is longer than the header.
        """
        reader = csv.reader(io.StringIO(self.read(), newline=""), strict=True)
        try:
            header = next(reader, [])
            yield 1, [column.strip() for column in header]
            for cells in reader:
                if len(cells) > len(header):
                    raise self.wrong(
                        f"{len(cells)} cells, but the header has {len(header)}",
                        at=f"line {reader.line_num}",
                        hint='put a text that holds a comma in quotes, "Paris, France"',
                    )
                if cells:
                    yield reader.line_num, [cell.strip() for cell in cells]
        except csv.Error as error:
            raise self.wrong(f"broken CSV ({error})", at=f"line {reader.line_num}", hint="check the quotes") from error

    def json(self, text: str, *, line: int | None = None) -> Any:
        """Parse JSON: the whole text, or that line of it.

        Raises:
            UserError: It is not JSON, or an object has one key twice.
        """
        at = f"line {line}" if line else ""

        def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            value = dict(pairs)
            if len(value) < len(pairs):
                [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
                raise self.wrong(f"key {twice!r} stands twice in one object", at=at, hint="remove one")
            return value

        try:
            return json.loads(text, object_pairs_hook=distinct)
        except json.JSONDecodeError as error:
            place = f"line {line or error.lineno}, column {error.colno}"
            raise self.wrong(f"broken JSON ({error.msg})", at=place, hint="mend it there") from None
        except (ValueError, RecursionError) as error:
            raise self.wrong("a number is too long or the nesting too deep", at=at, hint="simplify it") from error

    def structure(self, value: Any, kind: type[T], *, at: str) -> T:
        """Turn a JSON object into an attrs class; numbers count as texts, texts are trimmed.

        Raises:
            UserError: A key is missing or unknown, or a value is of the wrong type.
        """
        if not isinstance(value, dict):
            raise self.wrong("expected an object", at=at, hint="see docs/data.md")
        try:
            return _CONVERTER.structure(value, kind)
        except cattrs.ClassValidationError as error:
            raise self.wrong(", ".join(_reasons(error)), at=at, hint="see docs/data.md") from error


def _reasons(error: cattrs.ClassValidationError) -> Iterator[str]:
    of_keys, of_object = error.group_exceptions()
    for reason, note in of_keys:
        yield f"{note.name} is missing" if isinstance(reason, KeyError) else f"{note.name} is {reason}"
    for reason in of_object:
        if isinstance(reason, cattrs.ForbiddenExtraKeysError):
            yield f"unknown key {' and '.join(sorted(reason.extra_fields))}"
