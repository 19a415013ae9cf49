"""Listing: which classes of a super-category are visible in any image?"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from vlmkit_mimic.cells import Cell
from vlmkit_mimic.collection import Collection, by_targets
from vlmkit_mimic.tasks.choice import cover, without
from vlmkit_mimic.tasks.drawn import Drawn


def listing(cell: Cell, collection: Collection, group: str, names: Sequence[str], rng: Random) -> Drawn:
    """Draw pictures that show these classes of the super-category and none of its others.

    Raises:
        Short: There are no such pictures.
    """
    targets, members = frozenset(names), frozenset(collection.groups[group])
    fitting = {kinds: indices for kinds, indices in by_targets(collection, members).items() if kinds <= targets}
    showing = cover([fitting] * cell.spread, targets, rng)
    distractors = without(collection, members, cell.distractors, rng)
    return Drawn.of(collection, tuple(names), showing, distractors, group)
