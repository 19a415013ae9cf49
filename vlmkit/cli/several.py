"""Option values that are lists in one text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click


class Several(click.ParamType[Sequence[Any]]):
    """Reads values of one type, joined by commas.

    Args:
        one: The type of each.
    """

    name = "list"

    def __init__(self, one: click.ParamType[Any]) -> None:
        self.one = one

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Sequence[Any]:
        """Return the values, each once."""
        return tuple(dict.fromkeys(self.one.convert(part.strip(), param, ctx) for part in str(value).split(",")))
