"""JSON from every leaf to its path: ``{leaf: [root, ..., leaf]}``.

Source: arXiv 2505.24840 and its released files.
"""

from __future__ import annotations

import json
import pathlib

from vlmkit.data.text import TextFile
from vlmkit.errors import TaxonomyError
from vlmkit.taxonomy.leaves import Leaf, root_to_write, uprooted
from vlmkit.taxonomy.places import Item, items
from vlmkit.types import Taxonomy
from vlmkit.types.taxonomy import Path


def read(path: pathlib.Path) -> Taxonomy:
    """Read a file; a name that all paths begin with is the root.

    Raises:
        TaxonomyError: The file cannot be read, or its paths form no tree.
    """
    file = TextFile(path, "taxonomy file", TaxonomyError)
    text = file.read()
    if not isinstance(file.json(text), dict):
        raise file.wrong("it is no JSON object", hint='write {"leaf": ["root", ..., "leaf"], ...}')
    return uprooted(file, [Leaf(_path(file, item), f"line {item.line}") for item in items(text)])


def text(taxonomy: Taxonomy) -> str:
    """Return the file's text, one leaf a line under its label; ranks are not part of the format."""
    root = root_to_write(taxonomy)
    above = [root] if root else []
    lines = (f"{_dumped(taxonomy.label_of(path))}: {_dumped([*above, *path])}" for path in taxonomy.paths)
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _path(file: TextFile, item: Item) -> Path:
    """Check one entry; a leaf's key is its name or, where leaves share one, the name and what tells them apart."""
    at, names = f"line {item.line}", item.value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        hint = "read it as inaturalist:path=FILE" if item.key == "categories" else "write [root, ..., leaf]"
        raise file.wrong(f"the path of {item.key!r} is no list of names", at=at, hint=hint)
    if not names:
        raise file.wrong(f"the path of {item.key!r} is empty", at=at, hint="write [root, ..., leaf]")
    assert item.key is not None
    if item.key != names[-1] and not item.key.startswith((f"{names[-1]} (", f"{names[-1]} [")):
        raise file.wrong(f"the path of {item.key!r} ends in {names[-1]!r}", at=at, hint="end every path with its leaf")
    return tuple(names)


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
