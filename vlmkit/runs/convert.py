"""Value types to JSON and back."""

from __future__ import annotations

import json
import math
from typing import Any, TypeVar

from cattrs import Converter

T = TypeVar("T")

_converter = Converter(unstruct_collection_overrides={tuple: list})
# JSON knows neither infinity nor NaN; a log-probability of minus infinity becomes null.
_converter.register_unstructure_hook(float, lambda value: value if math.isfinite(value) else None)


def to_json(value: Any) -> Any:
    """Return an attrs value as plain JSON values; a number that is not finite becomes null."""
    return _converter.unstructure(value)


def from_json(value: Any, kind: type[T]) -> T:
    """Return the attrs value that ``to_json`` made ``value`` from."""
    return _converter.structure(value, kind)


def dumps(value: Any, *, indent: int | None = None) -> bytes:
    """Return plain JSON values as UTF-8 text.

    File names that are not UTF-8 reach Python as lone surrogates; they are written as the JSON escapes that read back
    to the same string.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent).encode("utf-8", "backslashreplace")
