"""Reading JSONL files that users bring, line by line, with errors that say which line is wrong and how."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from vlmkit.errors import DataError


@frozen
class Line:
    """One object of a file, with its place.

    Args:
        path: The file.
        what: What messages call it, such as "question file".
        number: Number of the line, from 1.
        offset: Bytes before the line.
        value: The object.
    """

    path: Path
    what: str
    number: int
    offset: int
    value: dict[str, Any] = field(repr=False)

    def wrong(self, message: str, *, hint: str = "see docs/hierarchy.md for the format") -> DataError:
        """Return the error that names the line and what is wrong there."""
        return DataError(f"{self.what} {self.path}, line {self.number}: {message}", hint=hint)

    def text(self, key: str) -> str:
        """Return a text.

        Raises:
            DataError: It is missing or no text.
        """
        value = self._value(key)
        if not isinstance(value, str):
            raise self.wrong(f"{key} is no text")
        return value

    def integer(self, key: str) -> int:
        """Return a whole number.

        Raises:
            DataError: It is missing or no whole number.
        """
        value = self._value(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(f"{key} is no whole number")
        return value

    def texts(self, key: str) -> list[str]:
        """Return a list of texts.

        Raises:
            DataError: It is missing or no such list.
        """
        return [text for text in self.texts_or_nulls(key, nulls=False) if text is not None]

    def texts_or_nulls(self, key: str, *, nulls: bool = True) -> list[str | None]:
        """Return a list of texts, in which some may be null.

        Raises:
            DataError: It is missing or no such list.
        """
        value = self._value(key)
        if not isinstance(value, list) or not all(isinstance(one, str) or (nulls and one is None) for one in value):
            raise self.wrong(f"{key} is no list of texts{' and nulls' if nulls else ''}")
        return value

    def object(self, key: str) -> Line:
        """Return an object in the line.

        Raises:
            DataError: It is missing or no object.
        """
        value = self._value(key)
        if not isinstance(value, dict):
            raise self.wrong(f"{key} is no object")
        return evolve(self, value=value)

    def objects(self, key: str) -> list[Line]:
        """Return a list of objects in the line.

        Raises:
            DataError: It is missing or no such list.
        """
        value = self._value(key)
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise self.wrong(f"{key} is no list of objects")
        return [evolve(self, value=one) for one in value]

    def _value(self, key: str) -> Any:
        if key not in self.value:
            raise self.wrong(f"{key} is missing")
        return self.value[key]


def json_lines(path: Path, what: str) -> Iterator[Line]:
    """Read a file of one JSON object a line; blank lines are skipped, and one line is held at a time.

    Args:
        path: The file.
        what: What messages call it.

    Raises:
        DataError: It cannot be read, or a line is no JSON object.
    """
    offset = 0
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                if raw.strip():
                    yield _parsed(Line(path, what, number, offset, {}), raw)
                offset += len(raw)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"{what} {path} cannot be read ({reason})", hint="check the path") from None


def _parsed(line: Line, raw: bytes) -> Line:
    try:
        value = json.loads(raw.decode("utf-8-sig").rstrip())
    except UnicodeDecodeError:
        raise line.wrong("it is not UTF-8", hint="save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        raise line.wrong(f"broken JSON at column {error.colno} ({error.msg})", hint="mend it there") from None
    except (ValueError, RecursionError):
        raise line.wrong("a number is too long or the nesting too deep", hint="simplify it") from None
    if not isinstance(value, dict):
        raise line.wrong("it is no JSON object")
    return evolve(line, value=value)
