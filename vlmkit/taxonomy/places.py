"""Where the parts of a JSON text stand: the parser of the standard library does not say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from attrs import frozen

_DECODER = json.JSONDecoder()
_BLANKS = re.compile(r"[ \t\r\n]*")


@frozen
class Item:
    """A member of an object or an element of a list.

    Args:
        key: The member's key; None in a list.
        value: The value.
        line: Line on which it begins, from 1.
        start: Index of the value's first character.
    """

    key: str | None
    value: Any
    line: int
    start: int


def items(text: str, start: int = 0) -> Iterator[Item]:
    """Iterate over the object or list that begins at ``start`` of a sound JSON text, blanks apart."""
    position = _past_blanks(text, start)
    line = text.count("\n", 0, position) + 1
    keyed = text[position] == "{"
    counted, position = position, _past_blanks(text, position + 1)
    while text[position] not in "]}":
        line += text.count("\n", counted, position)
        counted, key = position, None
        if keyed:
            key, position = _DECODER.raw_decode(text, position)
            position = _past_blanks(text, _past_blanks(text, position) + 1)
        begins = position
        value, position = _DECODER.raw_decode(text, position)
        yield Item(key, value, line, begins)
        position = _past_blanks(text, position)
        if text[position] == ",":
            position = _past_blanks(text, position + 1)


def _past_blanks(text: str, position: int) -> int:
    match = _BLANKS.match(text, position)
    assert match is not None
    return match.end()
