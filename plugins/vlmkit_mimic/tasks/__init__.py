"""The four tasks: each draws pictures that make one answer right and every other wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from random import Random

from attrs import define, field

from vlmkit_mimic.cells import Cell
from vlmkit_mimic.collection import Collection, Kinds
from vlmkit_mimic.tasks.choice import Short
from vlmkit_mimic.tasks.class_sets import ClassSets, Names
from vlmkit_mimic.tasks.common import common
from vlmkit_mimic.tasks.counting import counting
from vlmkit_mimic.tasks.drawn import Drawn
from vlmkit_mimic.tasks.listing import listing
from vlmkit_mimic.tasks.odd_one import odd_one

__all__ = ["Drawer", "Drawn", "Infeasible"]

_OF_CLASSES = {"counting": counting, "common": common, "odd-one": odd_one}


class Infeasible(Exception):
    """The pictures cannot fill a cell; the message says why."""


@define(slots=False)
class Drawer:
    """Draws the items of one cell: classes uniformly from those that can fill it, then their pictures.

    Args:
        cell: The controls, without a conflict among themselves.
        collection: The pictures.
        pool: The classes that may be asked about.
    """

    cell: Cell
    collection: Collection
    pool: Sequence[str]
    _short: dict[tuple[str, Kinds], str] = field(factory=dict, init=False, repr=False)
    """Classes that never filled the cell, and why: they are not tried again for every item."""
    _filled: set[tuple[str, Kinds]] = field(factory=set, init=False, repr=False)
    """Classes that did. Chance may fail them once, and finds them again."""

    def draw(self, rng: Random) -> Drawn:
        """Draw one item.

        Raises:
            Infeasible: No classes can fill the cell.
        """
        while True:
            for group, names in self._choices(rng):
                key = (group, frozenset(names))
                if key in self._short:
                    continue
                try:
                    drawn = self._pictures(group, names, rng)
                except Short as short:
                    if key not in self._filled:
                        self._short[key] = str(short)
                else:
                    self._filled.add(key)
                    return drawn
            if not self._filled:
                raise Infeasible(self._reason())

    def _choices(self, rng: Random) -> Iterator[tuple[str, Names]]:
        """Yield classes to try, with their super-category where the task has one."""
        groups = list(self._sets)
        rng.shuffle(groups)
        for group in groups:
            yield from ((group, names) for names in self._sets[group].in_random_order(rng))

    @cached_property
    def _sets(self) -> Mapping[str, ClassSets]:
        """The sets of classes of each super-category, or of the whole pool where the task has none."""
        pool = set(self.pool)
        pools = {"": self.pool}
        if self.cell.task == "listing":
            groups = self.collection.groups.items()
            pools = {group: [name for name in members if name in pool] for group, members in groups}
        together = self.collection if self.cell.spread == 1 else None
        return {group: ClassSets.of(names, self.cell.classes, together=together) for group, names in pools.items()}

    def _pictures(self, group: str, names: Sequence[str], rng: Random) -> Drawn:
        if self.cell.task == "listing":
            return listing(self.cell, self.collection, group, names, rng)
        return _OF_CLASSES[self.cell.task](self.cell, self.collection, names, rng)

    def _reason(self) -> str:
        if self._short:
            [(reason, times)] = Counter(self._short.values()).most_common(1)
            tried = len(self._short)
            return f"none of {tried:,} choices of classes has the pictures: {reason} ({times:,} of {tried:,})"
        if self.cell.task == "listing" and not self.collection.groups:
            return "the source has no super-categories"
        if all(len(sets.pool) < self.cell.classes for sets in self._sets.values()):
            whole = self.cell.task != "listing"
            return f"{'the pool' if whole else 'every super-category'} has fewer than {self.cell.classes} classes"
        return f"no picture shows {self.cell.classes} classes together"
