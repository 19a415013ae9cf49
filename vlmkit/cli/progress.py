"""Progress of a run on stderr: a bar on a terminal, and the first failures in any case."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from time import monotonic
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from vlmkit.cli.display import Kind
from vlmkit.cli.output import console, note, one_line
from vlmkit.cli.run_report import reason
from vlmkit.runs import Record, Tally

FAILURES_SHOWN = 5
"""Failed examples that are named on stderr; all are in ``predictions.jsonl``."""


LINE_EVERY = 30.0
"""Seconds from one line of plain progress to the next."""


class _Rate(ProgressColumn):
    """Examples a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "")


class RunProgress:
    """Shows how far a run is. Use it in a ``with`` statement and call it with each new record.

    Args:
        total: Examples to solve.
        before: Records of earlier goes.
        kind: ``full`` shows a bar, ``plain`` a line from time to time.
    """

    def __init__(self, total: int, before: Iterable[Record], kind: Kind = "full") -> None:
        self._tally = Tally.of(before)
        self._lines = kind == "plain"
        self._said = monotonic()
        screen = console(stderr=True)
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[accuracy]}"),
            console=screen,
            transient=True,
            disable=kind != "full" or not screen.is_terminal,
        )
        self._task = self._bar.add_task("", total=total, completed=self._tally.done, accuracy=self._accuracy)

    def __call__(self, record: Record) -> None:
        """Count a record."""
        self._tally.add(record)
        self._bar.update(self._task, advance=1, accuracy=self._accuracy)
        if self._lines and monotonic() - self._said >= LINE_EVERY:
            self._said = monotonic()
            note(self._line)
        if record.error is not None and self._tally.failed <= FAILURES_SHOWN:
            self._say(f"failed: {one_line(record.id)}: {reason(record.error, record.id)}")
            if self._tally.failed == FAILURES_SHOWN:
                self._say("further failures are not shown here")

    def __enter__(self) -> Self:
        if not self._bar.disable:  # older releases of rich end even a disabled bar with a line break
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._bar.disable:
            self._bar.stop()

    @property
    def _line(self) -> str:
        task = self._bar.tasks[0]
        parts = [f"{task.completed:,.0f} of {task.total:,.0f}"]
        if task.speed:
            parts += [f"{task.speed:.1f}/s", f"{timedelta(seconds=task.time_remaining or 0)} left"]
        return ", ".join([*parts, self._accuracy] if self._accuracy else parts)

    @property
    def _accuracy(self) -> str:
        judged = self._tally.judged
        return f"accuracy {self._tally.correct / judged:.1%}" if judged else ""

    def _say(self, message: str) -> None:
        if self._bar.disable:
            note(message)
        else:
            self._bar.console.print(message)
