"""What a user means by DATA, and by ``--taxonomy``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

from vlmkit.data.images import is_image_file
from vlmkit.errors import DataError, SpecError, TaxonomyError, UnknownNameError, UserError
from vlmkit.registry.registry import Registry
from vlmkit.registry.spec import Spec

_READERS = MappingProxyType({".csv": "manifest", ".jsonl": "manifest", ".parquet": "parquet", ".tar": "webdataset"})
"""What reads a file, by its suffix."""


def dataset_spec(text: str, registry: Registry) -> Spec:
    """Return the data set that ``text`` stands for: a path that exists comes first, then a registered spec.

    A CSV or JSONL file is a ``manifest``, a Parquet file ``parquet``, a tar archive a ``webdataset``; every other path
    is a ``folder``, which also takes a single picture.

    Raises:
        DataError: Nothing is there, and it is no spec of a registered data set either.
    """
    if os.path.exists(text):
        reader = None if os.path.isdir(text) else _READERS.get(Path(text).suffix.lower())
        return Spec(reader or "folder", {"path": text})
    head = text.partition(":")[0]
    if "/" in head or Path(head).suffix.lower() in _READERS or is_image_file(Path(head)):
        raise DataError(f"there is no file or folder {text}", hint="check the path")
    try:
        shorthand = registry.get("dataset", head).shorthand if head != text else ()
        spec = _spelled_out(text, shorthand) if shorthand else Spec.parse(text)
        registry.get("dataset", spec.name)
    except UserError as error:
        raise DataError(f"there is no file or folder {text}, and {error.message}", hint=error.hint) from None
    return spec


def _spelled_out(text: str, shorthand: Sequence[str]) -> Spec:
    """Read a spec whose first options may stand without their names, apart by colons: ``NAME:VALUE:VALUE,key=value``.

    The last of them may hold colons itself, as ``hf:NAME:train[:10]`` does.

    Raises:
        SpecError: It breaks the grammar.
    """
    name, _, options = text.partition(":")
    by_place, _, rest = options.partition(",")
    if "=" in by_place or by_place.startswith('"'):
        return Spec.parse(text)
    places = zip(shorthand, by_place.split(":", len(shorthand) - 1), strict=False)
    given = {option: value.strip() for option, value in places if value.strip()}
    named = dict(Spec.parse(f"{name}:{rest}" if rest else name).options)
    twice = sorted(given.keys() & named.keys())
    if twice:
        raise SpecError(f"spec {text!r} gives {twice[0]} twice", hint="keep one")
    return Spec(name, {**given, **named})


def taxonomy_spec(text: str) -> Spec:
    """Return the format, with its options, that ``text`` stands for: a path that exists comes first.

    Raises:
        TaxonomyError: Nothing is there, and it is no spec of a format either.
    """
    from vlmkit.taxonomy import FORMATS, format_of  # only now: --help stays quick

    if os.path.exists(text):
        return Spec(format_of(Path(text)), {"path": text})
    name, colon, _ = text.partition(":")
    if not colon or name not in FORMATS:
        unknown = UnknownNameError("format", name, FORMATS)
        raise TaxonomyError(f"there is no file or folder {text}, and {unknown.message}", hint=unknown.hint)
    return Spec.parse(text)
