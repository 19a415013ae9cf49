"""Kinds of option values of ``vlmkit mimic``."""

from __future__ import annotations

import re
from typing import Any

import click


class Numbers(click.ParamType[tuple[int, ...]]):
    """Reads ``2,4,8`` or ``1..8`` or both mixed.

    Args:
        lowest: Lowest number.
        words: Words that stand for a number.
    """

    name = "LIST"

    def __init__(self, lowest: int, **words: int) -> None:
        self.lowest, self.words = lowest, words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the numbers that the text means."""
        if isinstance(value, tuple):
            return value
        numbers: list[int] = []
        for part in str(value).split(","):
            match = re.fullmatch(r"(\d{1,4})(?:\.\.(\d{1,4}))?", part.strip())
            if part.strip() in self.words:
                numbers.append(self.words[part.strip()])
            elif match is None or int(match[2] or match[1]) < int(match[1]):
                words = "".join(f", or {word}" for word in self.words)
                self.fail(f"{part.strip()!r} is neither a number nor a range such as 1..8{words}", param, ctx)
            elif int(match[1]) < self.lowest:
                self.fail(f"{match[1]} is below {self.lowest}", param, ctx)
            else:
                numbers.extend(range(int(match[1]), int(match[2] or match[1]) + 1))
        return tuple(dict.fromkeys(numbers))


class Share(click.ParamType[float]):
    """Reads ``5%`` or ``0.05``."""

    name = "SHARE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the share that the text means, from 0 to 1."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d*\.?\d+)(%?)", str(value).strip())
        share = -1.0 if match is None else float(match[1]) / (100 if match[2] else 1)
        if not 0 <= share <= 1:
            self.fail(f"{value!r} is no share such as 5% or 0.05", param, ctx)
        return share


class Pool(click.ParamType[int | tuple[str, ...]]):
    """Reads a number of classes, or their names joined by commas."""

    name = "N|NAMES"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | tuple[str, ...]:
        """Return the number or the names."""
        if isinstance(value, int | tuple):
            return value
        text = str(value).strip()
        return int(text) if text.isdecimal() else tuple(name.strip() for name in text.split(",") if name.strip())
