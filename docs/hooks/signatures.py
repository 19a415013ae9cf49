"""Shows how attrs classes are called: mkdocstrings reads source code, and attrs writes ``__init__`` when it runs."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from typing import Any

import attrs
import griffe


class AttrsSignatures(griffe.Extension):
    """Gives each attrs class of vlmkit the parameters of its ``__init__``."""

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """Add the signature that the running class has, without a docstring of its own."""
        running = getattr(import_module(cls.module.path), cls.name, None)
        if not (isinstance(running, type) and attrs.has(running)) or "__init__" in cls.members:
            return
        found = inspect.signature(running).parameters.values()
        parameters = griffe.Parameters(*(_parameter(one, cls) for one in found))
        cls.set_member("__init__", griffe.Function("__init__", parameters=parameters, parent=cls))


def _parameter(found: inspect.Parameter, cls: griffe.Class) -> griffe.Parameter:
    annotation = griffe.safe_get_annotation(ast.parse(str(found.annotation), mode="eval").body, parent=cls)
    default = None if found.default is found.empty else _shown(found.default)
    return griffe.Parameter(
        found.name, annotation=annotation, kind=griffe.ParameterKind(found.kind.description), default=default
    )


def _shown(default: object) -> str:
    return "..." if default is attrs.NOTHING else repr(default)
