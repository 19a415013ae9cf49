"""English plurals of class names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

_IRREGULAR: Mapping[str, str] = MappingProxyType(
    {
        "person": "people",
        "man": "men",
        "woman": "women",
        "snowman": "snowmen",
        "child": "children",
        "mouse": "mice",
        "goose": "geese",
        "foot": "feet",
        "tooth": "teeth",
        "ox": "oxen",
        "knife": "knives",
        "leaf": "leaves",
        "loaf": "loaves",
        "wolf": "wolves",
        "calf": "calves",
        "shelf": "shelves",
        "half": "halves",
        "potato": "potatoes",
        "tomato": "tomatoes",
        "mango": "mangoes",
    }
)

_UNCHANGED = frozenset(
    {"sheep", "deer", "fish", "shrimp", "squid", "aircraft", "broccoli", "food", "furniture", "sushi"}
)

_PLURAL_ALREADY = re.compile(r"(?:[^aisu]s|skis)$")


def plural(name: str) -> str:
    """Return the plural of a class name: of its last word, by rule where it is not a known exception."""
    head, space, last = name.rpartition(" ")
    lower = last.lower()
    if lower in _IRREGULAR:
        several = _IRREGULAR[lower]
        return f"{head}{space}{several if last.islower() else several.capitalize()}"
    if lower in _UNCHANGED or _PLURAL_ALREADY.search(lower):
        return name
    if re.search(r"(?:s|x|z|ch|sh)$", lower):
        return f"{name}es"
    if re.search(r"[^aeiou]y$", lower):
        return f"{name[:-1]}ies"
    return f"{name}s"
