"""How much a command says on stderr while it works."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from attrs import frozen

from vlmkit.cli.output import note

if TYPE_CHECKING:
    from vlmkit.cli.progress import RunProgress
    from vlmkit.runs import Record

Kind = Literal["full", "plain", "none"]
"""Bars and notes; lines for a log and notes; neither. Warnings and failures show in any case."""


@frozen
class Display:
    """Shows progress and notes.

    Args:
        kind: How much of them.
    """

    kind: Kind

    @classmethod
    def of(cls, wanted: Kind | None) -> Display:
        """Return what was wanted; bars need a terminal, and without one lines stand in for them."""
        terminal = sys.stderr is not None and sys.stderr.isatty()
        return cls("plain" if wanted in (None, "full") and not terminal else wanted or "full")

    def say(self, message: str) -> None:
        """Say something, unless nothing shall be said."""
        if self.kind != "none":
            note(message)

    def watch(self, total: int, before: Iterable[Record]) -> RunProgress:
        """Return what shows how far a run is."""
        from vlmkit.cli.progress import RunProgress  # rich, only now: --help stays quick

        return RunProgress(total, before, self.kind)
