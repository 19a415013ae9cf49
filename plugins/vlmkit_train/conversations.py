"""Conversations about images in a JSONL file, or a JSON list, in the form that LLaVA brought up; read one at a time.

One of them: ``conversations``, turns ``{"from": "human" or "gpt", "value": text}``, alternating, perhaps after one from
``system``; ``image`` or ``images``, a path or several; ``id``. Each ``<image>`` in the first human turn stands for the
next image.
"""

from __future__ import annotations

import hashlib
import json
import re
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from attrs import frozen

from vlmkit.data.text import TextFile
from vlmkit.errors import DataError, VlmkitError

IMAGE = "<image>"
"""Stands for an image in the first human turn."""

_ROLES = {"system": "system", "human": "user", "gpt": "assistant"}


@frozen
class Turn:
    """What one side says.

    Args:
        role: ``system``, ``user`` or ``assistant``, as chat templates call them.
        text: The words, with ``IMAGE`` where an image stands.
    """

    role: str
    text: str


@frozen
class Conversation:
    """One conversation.

    Args:
        id: Its id, or else its place in the file.
        images: Paths of its images, in order.
        turns: The turns; the last one is the assistant's.
    """

    id: str
    images: tuple[Path, ...]
    turns: tuple[Turn, ...]


@frozen(eq=False)
class Conversations:
    """A file of conversations, every one of them checked; only their places are held.

    Args:
        path: The file.
        root: What the paths of images are relative to.
        digest: SHA-256 of the file, hexadecimal.
        images: Number of images of each conversation.
    """

    path: Path
    root: Path
    digest: str
    images: array[int]
    _spans: array[int]
    _numbers: array[int]

    @classmethod
    def open(cls, path: Path, root: Path | None = None) -> Self:
        """Open a file and check every line of it.

        Args:
            path: The file.
            root: What the paths of images are relative to; by default the file's folder.

        Raises:
            DataError: It cannot be read, a line is wrong, or an image is missing; the message names the line.
        """
        root = path.parent if root is None else root
        images, spans, numbers = array("I"), array("Q"), array("Q")
        sha = hashlib.sha256()
        try:
            for number, offset, raw in _entries(path, sha.update):
                found = _conversation(path, root, number, raw)
                for image in found.images:
                    if not image.is_file():
                        raise _wrong(path, number, f"there is no image {image}", "mend the path, or --images")
                images.append(len(found.images))
                spans.extend((offset, len(raw)))
                numbers.append(number)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise DataError(f"conversation file {path} cannot be read ({reason})", hint="check the path") from None
        if not numbers:
            raise DataError(f"conversation file {path} holds no conversations", hint="see docs/training.md")
        return cls(path, root, sha.hexdigest(), images, spans, numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Conversation:
        offset, length = self._spans[2 * index : 2 * index + 2]
        with self.path.open("rb") as file:
            file.seek(offset)
            return _conversation(self.path, self.root, self._numbers[index], file.read(length))

    def __iter__(self) -> Iterator[Conversation]:
        return (self[index] for index in range(len(self)))

    def place(self, index: int) -> str:
        """Return where a conversation stands in the file, such as ``line 7``."""
        return _place(self.path, self._numbers[index])


def _entries(path: Path, seen: Callable[[bytes], None]) -> Iterator[tuple[int, int, bytes]]:
    """Yield line, or place in the list, with the offset in bytes and the JSON of each conversation.

    Args:
        path: The file.
        seen: Receives all bytes of it.
    """
    if path.suffix.lower() == ".json":
        content = path.read_bytes()
        seen(content)
        yield from _elements(path, content)
        return
    offset = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            seen(raw)
            if raw.strip():
                yield number, offset, raw
            offset += len(raw)


_COMMA = re.compile(r"\s*,?\s*")


def _elements(path: Path, content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield the elements of a JSON list with their places, from 1, and offsets in bytes."""
    file = TextFile(path, "conversation file", DataError)
    text = file.read()
    opening = re.match(r"\s*\[\s*", text)
    if opening is None:
        raise file.wrong("it is no list of conversations", hint="name it FILE.jsonl if it has one a line")
    file.json(text)  # says where it is wrong; from here on it is right
    decoder, start, number = json.JSONDecoder(), opening.end(), 0
    offset = len(content) - len(text.encode()) + start
    while text[start] != "]":
        number += 1
        _, end = decoder.raw_decode(text, start)
        raw = text[start:end].encode()
        yield number, offset, raw
        between = _COMMA.match(text, end)
        assert between is not None
        start = between.end()
        offset += len(raw) + start - end


def _place(path: Path, number: int) -> str:
    return f"{'conversation' if path.suffix.lower() == '.json' else 'line'} {number}"


def _wrong(path: Path, number: int, message: str, hint: str = "see docs/training.md for the format") -> VlmkitError:
    return TextFile(path, "conversation file", DataError).wrong(message, at=_place(path, number), hint=hint)


def _conversation(path: Path, root: Path, number: int, raw: bytes) -> Conversation:
    try:
        value = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise _wrong(path, number, "it is not UTF-8", "save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        raise _wrong(path, number, f"broken JSON at column {error.colno} ({error.msg})", "mend it there") from None
    except (ValueError, RecursionError):
        raise _wrong(path, number, "a number is too long or the nesting too deep", "simplify it") from None
    try:
        turns = _turns(value)
        images = tuple(root / image for image in _images(value))
        shown = sum(turn.text.count(IMAGE) for turn in turns)
        if shown != len(images):
            raise ValueError(f"{shown} times {IMAGE} for {len(images)} images")
    except ValueError as error:
        raise _wrong(path, number, str(error)) from None
    return Conversation(str(value.get("id", _place(path, number))), images, turns)


def _turns(value: Any) -> tuple[Turn, ...]:
    """Return the turns.

    Raises:
        ValueError: The value is no conversation; the message says why.
    """
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    said = value.get("conversations")
    if not isinstance(said, list) or not said:
        raise ValueError("conversations is no list of turns")
    turns = []
    for place, one in enumerate(said, start=1):
        if not isinstance(one, dict) or not isinstance(one.get("value"), str):
            raise ValueError(f"turn {place} has no text as its value")
        if one.get("from") not in _ROLES:
            raise ValueError(f"turn {place} is from {one.get('from')!r}, not from {', '.join(_ROLES)}")
        turns.append(Turn(_ROLES[one["from"]], one["value"]))
    roles = [turn.role for turn in turns]
    spoken = roles[1:] if roles[0] == "system" else roles
    if not spoken or spoken != ["user", "assistant"] * (len(spoken) // 2):
        raise ValueError("human and gpt do not speak by turns, from human to gpt")
    for place, turn in enumerate(turns, start=1):
        if turn.role == "assistant" and not turn.text.strip():
            raise ValueError(f"turn {place} is an empty reply")
        if turn is not turns[roles.index("user")] and IMAGE in turn.text:
            raise ValueError(f"turn {place} shows an image, which only the first human turn can")
    return tuple(turns)


def _images(value: dict[str, Any]) -> list[str]:
    """Return the paths of images.

    Raises:
        ValueError: They are no paths, or stand under both keys.
    """
    one, several = value.get("image"), value.get("images")
    if one is not None and several is not None:
        raise ValueError("it has both image and images")
    found = several if one is None else one
    images = [found] if isinstance(found, str) else [] if found is None else found
    if not isinstance(images, list) or not all(isinstance(image, str) and image for image in images):
        raise ValueError(f"{'images' if one is None else 'image'} is neither a path nor a list of paths")
    return images
