"""The packages of the extra ``hf``, imported when they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from vlmkit.errors import DataError


def needed(module: str) -> Any:
    """Import a module of the extra.

    Raises:
        DataError: It is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise DataError(f"this data set needs the package {package}", hint='pip install "vlmkit[hf]"') from None
