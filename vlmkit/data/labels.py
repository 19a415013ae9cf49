"""Reading label files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from vlmkit.data.text import TextFile
from vlmkit.errors import LabelError
from vlmkit.types import Label, LabelSpace


@frozen
class _Entry:
    """A label as written, before the rules of labels are checked."""

    name: str
    description: str | None = None
    synonyms: tuple[str, ...] = ()


def read_labels(path: Path) -> LabelSpace:
    """Read a label file; its suffix says how.

    ``.txt`` holds one name a line. ``.csv`` has a column ``name`` and may have ``description`` and ``synonyms``
    (separated by "|"). ``.json`` holds a list of names or of objects with these keys, or an object from names to
    descriptions or to objects. Names are trimmed; blank lines are skipped.

    Raises:
        LabelError: The file cannot be read, or a label in it is empty, too long or there twice.
    """
    readers = {".txt": _from_text, ".json": _from_json, ".csv": _from_csv}
    file = TextFile(path, "label file", LabelError)
    if path.suffix.lower() not in readers:
        raise file.wrong("its suffix does not say what it holds", hint=f"name it {', '.join(readers)}")
    places: dict[str, str] = {}
    labels = []
    for at, entry in readers[path.suffix.lower()](file):
        try:
            label = Label(entry.name, entry.description, entry.synonyms)
        except LabelError as error:
            raise file.wrong(error.message, at=at, hint=error.hint) from None
        if label.name in places:
            raise file.wrong(
                f"label {label.name!r} stands there and in {places[label.name]}",
                at=at,
                hint="remove one or tell them apart, for example 'crane (bird)'",
            )
        places[label.name] = at
        labels.append(label)
    if not labels:
        raise file.wrong("it holds no labels", hint="write one name a line")
    return LabelSpace(labels)


def _from_text(file: TextFile) -> Iterator[tuple[str, _Entry]]:
    for number, line in file.lines():
        yield f"line {number}", _Entry(line.strip())


def _from_csv(file: TextFile) -> Iterator[tuple[str, _Entry]]:
    for number, row in file.rows(one_of=("name",)):
        synonyms = (synonym.strip() for synonym in row.get("synonyms", "").split("|"))
        yield (
            f"line {number}",
            _Entry(row.get("name", ""), row.get("description"), tuple(synonym for synonym in synonyms if synonym)),
        )


def _from_json(file: TextFile) -> Iterator[tuple[str, _Entry]]:
    content: Any = file.json(file.read())
    if isinstance(content, dict):
        for name, value in content.items():
            details = value if isinstance(value, dict) else {"description": value}
            if "name" in details:
                raise file.wrong("it is named twice", at=f"label {name!r}", hint="remove the key name")
            yield f"label {name!r}", file.structure({"name": name, **details}, _Entry, at=f"label {name!r}")
    elif isinstance(content, list):
        for number, value in enumerate(content, start=1):
            entry = value if isinstance(value, dict) else {"name": value}
            yield f"entry {number}", file.structure(entry, _Entry, at=f"entry {number}")
    else:
        raise file.wrong("expected a list or an object", hint="see docs/data.md")
