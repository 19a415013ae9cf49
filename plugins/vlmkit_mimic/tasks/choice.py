"""Drawing pictures at random under conditions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import TypeVar

import numpy as np

from vlmkit_mimic.collection import Collection, Kinds, showing

RESTARTS = 20
"""Times that a random choice of pictures starts over before the classes count as impossible."""

T = TypeVar("T")


class Short(Exception):
    """These classes have no pictures for the cell; the message says which are lacking."""


def without(collection: Collection, targets: Kinds, number: int, rng: Random) -> list[int]:
    """Draw pictures that show none of the targets.

    Raises:
        Short: There are not so many.
    """
    shows = showing(collection, targets)
    if len(shows) - np.count_nonzero(shows) < number:
        raise Short(f"fewer than {number} pictures show none of the classes")
    chosen: dict[int, None] = {}
    while len(chosen) < number:
        index = rng.randrange(len(shows))
        if not shows[index]:
            chosen[index] = None
    return list(chosen)


def cover(slots: Sequence[Mapping[Kinds, Sequence[int]]], wanted: Kinds, rng: Random) -> list[int]:
    """Draw one picture for each slot, no two the same, that show all wanted classes together.

    Args:
        slots: For each, the pictures that may stand there, by the wanted classes that they show.
        wanted: The classes.
        rng: Where chance comes from.

    Raises:
        Short: No such choice was found. For one class that is certain.
    """
    lacking = Short(f"no {len(slots)} pictures show the classes in the numbers asked for")
    possible = frozenset().union(*(kinds for options in slots for kinds in options))
    for _ in range(RESTARTS if wanted <= possible else 0):
        missing, chosen = set(wanted), list[int]()
        for left, options in zip(range(len(slots), 0, -1), slots, strict=True):
            # With fewer, the slots that are left could not show the rest.
            needed = math.ceil(len(missing) / left)
            fitting = [(kinds, indices) for kinds, indices in options.items() if len(kinds & missing) >= needed]
            drawn = _draw(fitting, chosen, rng)
            if drawn is None:
                if not chosen:
                    raise lacking
                break
            chosen.append(drawn[1])
            missing -= drawn[0]
        else:
            return chosen
    raise lacking


def _draw(groups: Sequence[tuple[T, Sequence[int]]], taken: Iterable[int], rng: Random) -> tuple[T, int] | None:
    """Draw one picture from all groups together, each as likely as any other, but none that is taken."""
    ends = list(itertools.accumulate(len(indices) for _, indices in groups))
    if not ends:
        return None
    for _ in range(RESTARTS):
        (group,) = rng.choices(groups, cum_weights=ends)
        index = rng.choice(group[1])
        if index not in taken:
            return group[0], index
    free = [(key, index) for key, indices in groups for index in indices if index not in taken]
    return rng.choice(free) if free else None
