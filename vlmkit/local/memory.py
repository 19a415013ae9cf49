"""Bounded memories: visual features and trunks, least recently used out first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from attrs import define, field


class Sized(Protocol):
    """Anything that knows its size."""

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        ...


V = TypeVar("V", bound=Sized)


@define
class Memory(Generic[V]):
    """A least-recently-used map that holds at most ``budget`` bytes and ``most`` entries, but always the newest one.

    Args:
        budget: Bytes.
        most: Entries, however small: more than are ever at work at once, and few enough that the memory of a small
            model stops growing early in a run.
    """

    budget: int
    most: int = 512
    _entries: OrderedDict[Hashable, V] = field(factory=OrderedDict, init=False, repr=False)
    _held: int = field(default=0, init=False)

    def get(self, key: Hashable) -> V | None:
        """Return the entry and mark it as used, or None."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: Hashable, value: V) -> None:
        """Store an entry; the least recently used ones make room."""
        replaced = self._entries.pop(key, None)
        self._held += value.nbytes - (replaced.nbytes if replaced is not None else 0)
        self._entries[key] = value
        while (self._held > self.budget or len(self._entries) > self.most) and len(self._entries) > 1:
            _, dropped = self._entries.popitem(last=False)
            self._held -= dropped.nbytes

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._held = 0
