"""Conversations about images in a JSONL file, in the form that LLaVA brought up; read one at a time.

A line: ``conversations``, turns ``{"from": "human" or "gpt", "value": text}``, alternating, perhaps after one from
``system``; ``image``, a path, or ``images``, several; ``id``. Each ``<image>`` in the first human turn stands for the
next image.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterator
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
        id: Its id, or else its line.
        images: Paths of its images, in order.
        turns: The turns; the last one is the assistant's.
    """

    id: str
    images: tuple[Path, ...]
    turns: tuple[Turn, ...]


@frozen(eq=False)
class Conversations:
    """A file of conversations, every line of it checked; only places of lines are held.

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
    _offsets: array[int]
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
        images, offsets, numbers = array("I"), array("Q"), array("Q")
        sha, offset = hashlib.sha256(), 0
        try:
            with path.open("rb") as file:
                for number, raw in enumerate(file, start=1):
                    if raw.strip():
                        found = _conversation(path, root, number, raw)
                        for image in found.images:
                            if not image.is_file():
                                raise _wrong(path, number, f"there is no image {image}", "mend the path, or --images")
                        images.append(len(found.images))
                        offsets.append(offset)
                        numbers.append(number)
                    sha.update(raw)
                    offset += len(raw)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise DataError(f"conversation file {path} cannot be read ({reason})", hint="check the path") from None
        if not offsets:
            raise DataError(f"conversation file {path} holds no conversations", hint="see docs/training.md")
        return cls(path, root, sha.hexdigest(), images, offsets, numbers)

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, index: int) -> Conversation:
        with self.path.open("rb") as file:
            file.seek(self._offsets[index])
            return _conversation(self.path, self.root, self._numbers[index], file.readline())

    def __iter__(self) -> Iterator[Conversation]:
        return (self[index] for index in range(len(self)))


def _wrong(path: Path, number: int, message: str, hint: str = "see docs/training.md for the format") -> VlmkitError:
    return TextFile(path, "conversation file", DataError).wrong(message, at=f"line {number}", hint=hint)


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
    return Conversation(str(value.get("id", f"line {number}")), images, turns)


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
    images = [one] if one is not None else several or []
    if not isinstance(images, list) or not all(isinstance(image, str) and image for image in images):
        raise ValueError("image is no path, or images no list of paths")
    return images
