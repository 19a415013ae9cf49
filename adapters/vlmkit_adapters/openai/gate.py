"""How many requests may be under way at once, learnt from how the server takes them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field

START = 8
"""Requests at once before anything is known of the server."""


@define
class Gate:
    """Lets in more requests as long as they succeed, and half as many once the server is overloaded.

    Source: additive increase, multiplicative decrease, as in TCP (RFC 5681).

    Args:
        most: Most requests at once, however well they go.
    """

    most: int
    _limit: float = field(init=False)
    _inside: int = field(default=0, init=False)
    _halvings: int = field(default=0, init=False)
    _changed: threading.Condition = field(factory=threading.Condition, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._limit = float(min(START, self.most))

    @property
    def limit(self) -> int:
        """Requests that may be under way at once just now."""
        return int(self._limit)

    @contextmanager
    def entered(self) -> Iterator[Passage]:
        """Wait for a place and hold it; tell the passage how the request went."""
        with self._changed:
            self._changed.wait_for(lambda: self._inside < self.limit)
            self._inside += 1
            passage = Passage(self, self._halvings)
        try:
            yield passage
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def grow(self) -> None:
        """Take note of a success: one more request at once for each round of successes."""
        with self._changed:
            self._limit = min(float(self.most), self._limit + 1 / self._limit)
            self._changed.notify_all()

    def halve(self, since: int) -> None:
        """Take note of an overload, once for all requests that were let in before the last halving."""
        with self._changed:
            if since == self._halvings:
                self._limit = max(1.0, self._limit / 2)
                self._halvings += 1


@define
class Passage:
    """One request on its way through the gate."""

    _gate: Gate
    _halvings: int

    def succeeded(self) -> None:
        """Say that the server answered."""
        self._gate.grow()

    def overloaded(self) -> None:
        """Say that the server could not keep up."""
        self._gate.halve(self._halvings)
