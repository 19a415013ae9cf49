"""What a user means by DATA, and by ``--taxonomy``."""

from __future__ import annotations

import os
from pathlib import Path

from vlmkit.data.images import is_image_file
from vlmkit.errors import DataError, TaxonomyError, UnknownNameError, UserError
from vlmkit.registry.registry import Registry
from vlmkit.registry.spec import Spec

_LISTS = (".csv", ".jsonl")


def dataset_spec(text: str, registry: Registry) -> Spec:
    """Return the data set that ``text`` stands for: a path that exists comes first, then a registered spec.

    A CSV or JSONL file is a ``manifest``; every other path is a ``folder``, which also takes a single picture.

    Raises:
        DataError: Nothing is there, and it is no spec of a registered data set either.
    """
    if os.path.exists(text):
        is_list = Path(text).suffix.lower() in _LISTS and not os.path.isdir(text)
        return Spec("manifest" if is_list else "folder", {"path": text})
    head = text.partition(":")[0]
    if "/" in head or Path(head).suffix.lower() in _LISTS or is_image_file(Path(head)):
        raise DataError(f"there is no file or folder {text}", hint="check the path")
    try:
        spec = Spec.parse(text)
        registry.get("dataset", spec.name)
    except UserError as error:
        raise DataError(f"there is no file or folder {text}, and {error.message}", hint=error.hint) from None
    return spec


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
