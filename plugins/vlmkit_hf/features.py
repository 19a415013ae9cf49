"""The columns that features of the package ``datasets`` describe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vlmkit_hf.columns import Column, Kind

_FILE = {"bytes", "path"}


def columns_of(features: Mapping[str, Any]) -> tuple[Column, ...]:
    """Return all columns, and the entries of those that hold objects.

    Args:
        features: A ``datasets.Features``.
    """
    return tuple(column for name, feature in features.items() for column in _columns((name,), feature))


def _columns(path: tuple[str, ...], feature: Any) -> Iterator[Column]:
    import datasets

    inner = feature.feature if isinstance(feature, datasets.List | datasets.LargeList) else None
    if _is_image(feature):
        yield Column(path, "image", "Image")
    elif inner is not None and _is_image(inner):
        yield Column(path, "images", "List(Image)")
    elif isinstance(feature, datasets.ClassLabel):
        yield Column(path, "class", f"ClassLabel of {feature.num_classes:,}", tuple(feature.names))
    elif isinstance(feature, datasets.Value):
        yield Column(path, _kind(feature.dtype), feature.dtype)
    elif isinstance(feature, Mapping):
        for name, below in feature.items():
            yield from _columns((*path, name), below)
    else:
        yield Column(path, "other", type(feature).__name__)


def _is_image(feature: Any) -> bool:
    """Whether it is a picture, or bytes beside a path as ``datasets`` writes them where the type itself is lost."""
    import datasets

    return isinstance(feature, datasets.Image) or (isinstance(feature, Mapping) and set(feature) == _FILE)


def _kind(dtype: str) -> Kind:
    if dtype in ("string", "large_string", "string_view"):
        return "text"
    if dtype in ("binary", "large_binary", "binary_view"):
        return "binary"
    return "number" if dtype.startswith(("int", "uint", "bool")) else "other"
