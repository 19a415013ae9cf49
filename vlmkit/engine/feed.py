"""Examples read and opened ahead on other threads, while the model computes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Semaphore, Thread
from types import TracebackType
from typing import Generic, Self, TypeVar

from attrs import Factory, define, field

from vlmkit.types import Example

OPENERS = min(4, os.cpu_count() or 1)
"""Threads that open examples; decoding and resizing leave the interpreter to the others most of the time."""

PATIENCE = 1.0
"""Seconds to wait for the reading thread at the end; one that still waits for its source ends with the process."""

T = TypeVar("T")

Opened = tuple[Example, "Future[T]"]
"""An example, and what opening it gives, or fails with."""


@define
class Feed(Generic[T]):
    """Reads examples in order on one thread and opens them on several, a bounded number ahead.

    Iterate it once, within ``with``, which ends the threads. What reading raises is raised at its place in the order;
    what opening raises stays in the example's future.

    Args:
        examples: The examples; iterated on the reading thread alone.
        open: Opens one example; called on several threads.
        ahead: Most examples that are read and not yet taken, at least 1.
    """

    examples: Iterable[Example]
    open: Callable[[Example], T]
    ahead: int
    _read: SimpleQueue[Opened[T] | BaseException | None] = field(factory=SimpleQueue, init=False)
    _room: Semaphore = field(default=Factory(lambda self: Semaphore(self.ahead - 1), takes_self=True), init=False)
    _closed: bool = field(default=False, init=False)
    _openers: ThreadPoolExecutor = field(factory=lambda: ThreadPoolExecutor(OPENERS, "vlmkit-opener"), init=False)
    _reader: Thread = field(init=False)

    @_reader.default
    def _thread(self) -> Thread:
        return Thread(target=self._read_all, name="vlmkit-reader", daemon=True)

    def __iter__(self) -> Iterator[Opened[T]]:
        while (opened := self._read.get()) is not None:
            if isinstance(opened, BaseException):
                raise opened
            self._room.release()
            yield opened

    def _read_all(self) -> None:
        try:
            for example in self.examples:
                self._read.put((example, self._openers.submit(self.open, example)))
                self._room.acquire()
                if self._closed:
                    return
            self._read.put(None)
        except BaseException as error:  # it is raised where the example was wanted
            self._read.put(error)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closed = True
        self._room.release()
        self._reader.join(PATIENCE)
        self._openers.shutdown(cancel_futures=True)
