"""Counting: how many instances of each asked class are there in all images together?"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from vlmkit_mimic.cells import ANY, Cell
from vlmkit_mimic.collection import Collection, by_targets, with_total
from vlmkit_mimic.tasks.choice import cover, without
from vlmkit_mimic.tasks.drawn import Drawn


def counting(cell: Cell, collection: Collection, names: Sequence[str], rng: Random) -> Drawn:
    """Draw pictures for a question about these classes.

    A balanced total lies over the images as evenly as it can: 4 as (4), (2, 2) or (1, 1, 1, 1).

    Raises:
        Short: The classes have no such pictures.
    """
    targets = frozenset(names)
    if cell.total == ANY:
        slots = [by_targets(collection, targets)] * cell.spread
    else:
        share, more = divmod(cell.total, cell.spread)
        parts = [share + (slot < more) for slot in range(cell.spread)]
        slots = [with_total(collection, targets, part) for part in parts]
    showing = cover(slots, targets, rng)
    return Drawn.of(collection, tuple(names), showing, without(collection, targets, cell.distractors, rng))
