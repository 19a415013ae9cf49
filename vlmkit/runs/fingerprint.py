"""What a run's results depend on, in a form that can be compared."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Set
from enum import Enum
from pathlib import Path
from typing import Any

import attrs

from vlmkit.contracts import Backend, Strategy
from vlmkit.prompts import Prompt
from vlmkit.redaction import redacted
from vlmkit.runs.convert import dumps
from vlmkit.types import LabelSpace, Taxonomy

_NOT_WHAT = ("device", "servers", "parameters")
"""Keys of a model's identity that say where it is and not what, or that it has only once the weights are loaded."""

_SHOWN = 60
"""Longest value in the message about a difference, in characters."""


def fingerprint(
    *,
    backend: Backend,
    strategy: Strategy,
    data: str,
    labels: LabelSpace,
    prompt: Prompt,
    seed: int,
    taxonomy: Taxonomy | None = None,
) -> dict[str, Any]:
    """Return everything that changes results, as plain JSON values.

    Left out on purpose: the device, which of several servers there are, the number of examples in flight, ``--limit``
    and where the run is written.

    Args:
        backend: Gives the model's identity.
        strategy: Described with all its options, also those left at their defaults.
        data: Spec of the data set.
        labels: The label space.
        prompt: The words of the questions.
        seed: The run's seed.
        taxonomy: The taxonomy that was given; one that the data set offers is part of the data.
    """
    return {
        "model": model_identity(backend),
        "strategy": described(strategy),
        "data": redacted(data),
        "labels": label_digest(labels),
        "prompt": prompt.digest,
        "seed": seed,
        **({} if taxonomy is None else {"taxonomy": taxonomy.digest}),
    }


def model_identity(backend: Backend) -> dict[str, Any]:
    """Return what a backend's identity says of the model itself, as plain JSON values; the same before it is loaded."""
    return {key: described(value) for key, value in backend.identity.items() if key not in _NOT_WHAT}


def label_digest(labels: LabelSpace) -> str:
    """Return the SHA-256 over names, descriptions and synonyms in order, hexadecimal."""
    return hashlib.sha256(
        dumps([[label.name, label.description, list(label.synonyms)] for label in labels])
    ).hexdigest()


def described(value: Any) -> Any:
    """Return an object as plain JSON values: its class, and what its constructor was given.

    Attrs classes and dataclasses show their fields, other objects their public attributes, functions their name. A
    path to a file shows the SHA-256 of the content; texts are without secrets.
    """
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return redacted(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Path):
        return hashlib.sha256(value.read_bytes()).hexdigest() if value.is_file() else value.as_posix()
    if isinstance(value, Mapping):
        return {str(key): described(item) for key, item in value.items()}
    if isinstance(value, Set):
        return sorted((described(item) for item in value), key=str)
    if isinstance(value, tuple | list):
        return [described(item) for item in value]
    if hasattr(value, "__qualname__"):
        return _name(value)
    return {"type": _name(type(value)), **{name: described(getattr(value, name)) for name in _settings(value)}}


def _settings(value: Any) -> list[str]:
    if attrs.has(type(value)):
        return [field.name for field in attrs.fields(type(value)) if field.init]
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value) if field.init]
    return sorted(name for name in getattr(value, "__dict__", ()) if not name.startswith("_"))


def _name(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def leaves(value: Any, *, key: str = "") -> Iterator[tuple[str, Any]]:
    """Iterate over a fingerprint's values by dotted key, for example ``strategy.group_size`` and 20."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from leaves(item, key=f"{key}.{name}" if key else name)
    else:
        yield key, value


def differences(before: Any, now: Any, *, key: str = "") -> Iterator[str]:
    """Say key by key how two fingerprints differ, for example ``strategy.group_size was 20, is 50``."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in sorted({*before, *now}):
            yield from differences(before.get(name), now.get(name), key=f"{key}.{name}" if key else name)
    elif before != now:
        yield f"{key} was {shown(before)}, is {shown(now)}"


def shown(value: Any) -> str:
    """Return a fingerprint's value as a message shows it, cut where it is long."""
    text = dumps(value).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
