"""Odd-One: which class do only a minority of the images show?"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from vlmkit_mimic.cells import Cell
from vlmkit_mimic.collection import Collection
from vlmkit_mimic.tasks.choice import Short
from vlmkit_mimic.tasks.drawn import Drawn


def odd_one(cell: Cell, collection: Collection, names: Sequence[str], rng: Random) -> Drawn:
    """Draw pictures of which a minority shows this class.

    The distractors show one other class and nothing else, and no picture shows a third one. So this class is the only
    one that fewer than half of the images show.

    Raises:
        Short: There are no such pictures.
    """
    (name,) = names
    alone = collection.by_kinds
    rest = [
        other
        for other in collection.holders
        if other != name and len(alone.get(frozenset({other}), ())) >= cell.distractors
    ]
    rng.shuffle(rest)
    for other in rest:
        odd = [*alone.get(frozenset({name}), ()), *alone.get(frozenset({name, other}), ())]
        if len(odd) >= cell.spread:
            distractors = rng.sample(alone[frozenset({other})], cell.distractors)
            return Drawn.of(collection, (name,), rng.sample(odd, cell.spread), distractors)
    raise Short(f"too few pictures show the class with at most one other, of which {cell.distractors} show it alone")
