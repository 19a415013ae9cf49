"""Examples that wait for a process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from math import ceil

from attrs import define, field

from vlmkit import Example


@define
class Backlog:
    """Hands out examples in batches that shrink towards the end, so that nobody waits long for the last one.

    Source: guided self-scheduling (Polychronopoulos and Kuck, 1987), as far as the examples that come are known.

    Args:
        source: The examples, read as far ahead as full batches need.
        takers: How many share them.
        most: Most examples of a batch.
    """

    source: Iterator[Example]
    takers: int
    most: int
    _ahead: deque[Example] = field(factory=deque, init=False)
    _again: deque[Example] = field(factory=deque, init=False)

    @property
    def waiting(self) -> bool:
        """Whether there is a next batch."""
        self._read()
        return bool(self._again or self._ahead)

    def take(self) -> list[Example]:
        """Return the next batch, empty if there is none; an example that is asked again stands alone."""
        if self._again:
            return [self._again.popleft()]
        self._read()
        return [self._ahead.popleft() for _ in range(ceil(len(self._ahead) / self._batches))]

    def put_back(self, examples: Iterable[Example]) -> None:
        """Take examples that are to be asked again, before any other."""
        self._again.extend(examples)

    @property
    def _batches(self) -> int:
        return 2 * self.takers

    def _read(self) -> None:
        self._ahead.extend(islice(self.source, self._batches * self.most - len(self._ahead)))
