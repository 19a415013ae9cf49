"""What tokens cost, by a table that the user supplies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from attrs import fields, frozen

from vlmkit.errors import DataError

_FORM = '{"MODEL": {"input": 0.15, "output": 0.6}}, in your currency for a million tokens'


@frozen
class Prices:
    """Prices of a million tokens, in the user's currency.

    Args:
        input: Of the prompt.
        output: Of the reply.
        cached_input: Of the part of the prompt that the server had in its cache; by default ``input``.
    """

    input: float
    output: float
    cached_input: float | None = None

    @classmethod
    def read(cls, path: Path, model: str) -> Self:
        """Read the prices of one model from a JSON file of many.

        Raises:
            DataError: The file cannot be read, has not the form, or lacks the model.
        """
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"price table {path} cannot be read ({reason})", hint=f"write {_FORM}") from error
        if not isinstance(table, dict) or model not in table:
            raise DataError(f"price table {path} has no model {model!r}", hint=f"write {_FORM}")
        row = table[model]
        if not _is_row(row):
            raise DataError(f"price table {path}: the prices of {model!r} are no good", hint=f"write {_FORM}")
        return cls(**row)

    def of(self, prompt: int, cached: int, reply: int) -> float:
        """Return the price of one request.

        Args:
            prompt: Tokens of the prompt, the cached ones included.
            cached: Tokens of the prompt that came from the server's cache.
            reply: Tokens of the reply.
        """
        cached_input = self.input if self.cached_input is None else self.cached_input
        return ((prompt - cached) * self.input + cached * cached_input + reply * self.output) / 1e6


def _is_row(row: Any) -> bool:
    known = {field.name for field in fields(Prices)}
    return (
        isinstance(row, Mapping)
        and {"input", "output"} <= set(row) <= known
        and all(isinstance(price, int | float) and price >= 0 for price in row.values())
    )
