"""What an answer depends on, as the key under which it is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Set
from enum import Enum
from functools import cached_property
from typing import Any

import attrs
from attrs import frozen

from vlmkit.contracts import Backend, Reproducible
from vlmkit.errors import CacheError
from vlmkit.installed import installed_version
from vlmkit.types import Choose, Image, Label, Query

_PACKAGES = ("vlmkit", "transformers")
"""What renders prompts, prepares pictures and scores; another version may do it otherwise."""

_NOT_KEYED = ("device", "parameters")
"""What an identity says that changes no answer beyond rounding, or that it says only once the weights are loaded."""


@frozen
class Keys:
    """Makes the keys of one backend's answers.

    Args:
        backend: Who answers.
    """

    backend: Backend

    @cached_property
    def model(self) -> str:
        """The model's name, for people."""
        name = str(self.backend.identity.get("model", type(self.backend).__name__))
        return name.encode("utf-8", "backslashreplace").decode()

    def of(self, query: Query) -> bytes | None:
        """Return the key of the answer to a query, 32 bytes; None for an answer that must not be kept.

        It is the SHA-256 over the model, the content of the images, the rendered prompt and every setting of the query.
        An answer must not be kept if it is left to chance, or if something that it depends on has no JSON form.

        Raises:
            CacheError: The model's identity has no JSON form.
        """
        beyond = self.backend.depends_on(query) if isinstance(self.backend, Reproducible) else {}
        if beyond is None:
            return None
        asked = {**_fields(query), "text": query.text}
        if isinstance(query, Choose):
            del asked["prompt"]  # of which the rendered text is all that a model sees
        try:
            told = _told([self._scope, beyond, type(query).__name__, asked])
        except TypeError:
            return None
        return hashlib.sha256(told).digest()

    @cached_property
    def _scope(self) -> str:
        identity = {key: value for key, value in self.backend.identity.items() if key not in _NOT_KEYED}
        try:
            told = _told([identity, [installed_version(package) for package in _PACKAGES]])
        except TypeError as error:
            raise CacheError(
                f"answers of {self.model} cannot be kept: its identity is no JSON ({error})",
                hint="leave --cache out, or mend the adapter",
            ) from None
        return hashlib.sha256(told).hexdigest()


def _told(value: Any) -> bytes:
    return json.dumps(value, default=_plain, sort_keys=True).encode()


def _plain(value: Any) -> Any:
    """Return what JSON has no form for as something that it has one for.

    Raises:
        TypeError: It cannot be told from others of its kind.
    """
    if isinstance(value, Image):
        return value.digest
    if isinstance(value, Label):
        return [value.name, value.description, value.synonyms]
    if attrs.has(type(value)):
        return {"type": f"{type(value).__module__}.{type(value).__qualname__}", "fields": _fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Set):
        return sorted(map(_told_text, value))
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def _told_text(value: Any) -> str:
    return _told(value).decode()


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in attrs.fields(type(value)) if field.eq}
