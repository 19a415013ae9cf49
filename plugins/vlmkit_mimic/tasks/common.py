"""Common: which class do all images show?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from random import Random

from vlmkit_mimic.cells import Cell
from vlmkit_mimic.collection import Collection, Kinds
from vlmkit_mimic.tasks.choice import RESTARTS, Short, cover
from vlmkit_mimic.tasks.drawn import Drawn


def common(cell: Cell, collection: Collection, names: Sequence[str], rng: Random) -> Drawn:
    """Draw pictures that all show this class and have no other in common.

    Raises:
        Short: There are no such pictures.
    """
    (name,) = names
    holders = collection.holders.get(name, ())
    if len(holders) < cell.images:
        raise Short(f"fewer than {cell.images} pictures show the class")

    for first in rng.sample(holders, min(len(holders), RESTARTS)):
        others = frozenset(collection.pictures[first].counts) - {name}
        # What the first picture shows besides, the rest must be without, each class in one of them at least.
        lacking: dict[Kinds, list[int]] = {}
        for index in holders:
            if index != first:
                lacking.setdefault(others.difference(collection.pictures[index].counts), []).append(index)
        with suppress(Short):
            rest = cover([lacking] * (cell.images - 1), others, rng)
            return Drawn.of(collection, (name,), [first, *rest], [])
    raise Short(f"no {cell.images} pictures have this class alone in common")
