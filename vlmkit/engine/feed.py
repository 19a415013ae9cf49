"""Examples read and opened ahead on other threads, while the model computes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

from attrs import define, field

from vlmkit.types import Example

OPENERS = min(4, os.cpu_count() or 1)
"""Threads that open examples; decoding and resizing leave the interpreter to the others most of the time."""

T = TypeVar("T")

Opened = tuple[Example, "Future[T]"]
"""An example, and what opening it gives, or fails with."""


@define
class Feed(Generic[T]):
    """Reads examples in order on one thread and opens them on several, a bounded number ahead.

    Iterate it once, within ``with``, which leaves no thread behind. What reading raises is raised at its place in the
    order; what opening raises stays in the example's future.

    Args:
        examples: The examples; iterated on the reading thread alone.
        open: Opens one example; called on several threads.
        ahead: Most examples that are read and not yet taken.
    """

    examples: Iterable[Example]
    open: Callable[[Example], T]
    ahead: int
    _reader: ThreadPoolExecutor = field(init=False, factory=lambda: ThreadPoolExecutor(1, "vlmkit-reader"))
    _openers: ThreadPoolExecutor = field(init=False, factory=lambda: ThreadPoolExecutor(OPENERS, "vlmkit-opener"))

    def __iter__(self) -> Iterator[Opened[T]]:
        waiting = iter(self.examples)
        reading = deque(self._reader.submit(self._read, waiting) for _ in range(self.ahead))
        while (opened := reading.popleft().result()) is not None:
            reading.append(self._reader.submit(self._read, waiting))
            yield opened

    def _read(self, waiting: Iterator[Example]) -> Opened[T] | None:
        example = next(waiting, None)
        return None if example is None else (example, self._openers.submit(self.open, example))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # Readers hand on to openers, so they end first.
        for pool in (self._reader, self._openers):
            pool.shutdown(cancel_futures=True)
