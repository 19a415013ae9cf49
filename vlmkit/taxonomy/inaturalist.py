"""The categories of an iNaturalist data set, as its JSON lists them.

Source: https://github.com/visipedia/inat_comp
"""

from __future__ import annotations

import pathlib
from typing import Any

from vlmkit.data.text import TextFile
from vlmkit.errors import TaxonomyError
from vlmkit.taxonomy.leaves import Leaf, uprooted
from vlmkit.taxonomy.places import Item, items
from vlmkit.types import Taxonomy
from vlmkit.types.taxonomy import Path

RANKS = ("kingdom", "phylum", "class", "order", "family", "genus")
"""Keys of a category from the top down; its ``name`` is the species."""


def read(path: pathlib.Path) -> Taxonomy:
    """Read ``categories.json``, or the JSON of a split; a kingdom that all categories share is the root.

    Raises:
        TaxonomyError: The file cannot be read, has no categories, or one of them lacks a rank.
    """
    file = TextFile(path, "taxonomy file", TaxonomyError)
    text = file.read()
    content = file.json(text)
    start = 0
    if isinstance(content, dict):
        start = next((item.start for item in items(text) if item.key == "categories"), -1)
        content = content.get("categories")
    if not isinstance(content, list):
        raise file.wrong("it has no list of categories", hint="give the categories.json or the JSON of a split")
    leaves = [Leaf(_path(file, item), f"line {item.line}") for item in items(text, start)]
    return uprooted(file, leaves, ranks=(*RANKS, "species"))


def _path(file: TextFile, item: Item) -> Path:
    category: Any = item.value
    at = f"line {item.line}"
    if not isinstance(category, dict):
        raise file.wrong("a category is no object", at=at, hint="give the JSON of an iNaturalist data set")
    found = {rank: category.get(rank) for rank in (*RANKS, "name")}
    if "name" not in category and "specific_epithet" in category:
        found["name"] = f"{found['genus']} {category['specific_epithet']}"
    names: list[str] = []
    for rank, name in found.items():
        if not isinstance(name, str) or not name.strip():
            raise file.wrong(f"category {category.get('id', '?')} has no {rank}", at=at, hint="fill it in")
        names.append(name.strip())
    return tuple(names)
