"""Sets of classes to ask about, in random order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from random import Random

from attrs import frozen

from vlmkit_mimic.collection import Collection

SETS_TRIED = 2000
"""Sets of classes that are tried where there are too many to try all."""

Names = tuple[str, ...]
"""Classes to ask about together."""


@frozen
class ClassSets:
    """The sets of so many classes of a pool; each is as likely as any other to come first.

    Args:
        pool: The classes.
        number: Classes of a set.
        listed: The sets, or None where there are more than ``SETS_TRIED``.
    """

    pool: Sequence[str]
    number: int
    listed: Sequence[Names] | None

    @classmethod
    def of(cls, pool: Sequence[str], number: int, *, together: Collection | None = None) -> ClassSets:
        """Look at the classes of a pool.

        Args:
            pool: The classes.
            number: Classes of a set.
            together: Pictures of which one must show all classes of a set, or None.
        """
        if together is not None:
            members = frozenset(pool)
            return cls(pool, number, [names for names in shown_together(together, number) if members.issuperset(names)])
        few = math.comb(len(pool), number) <= SETS_TRIED
        return cls(pool, number, list(itertools.combinations(pool, number)) if few else None)

    def in_random_order(self, rng: Random) -> Iterator[Names]:
        """Yield the sets, their classes in random order too; at most ``SETS_TRIED`` where they are not listed."""
        if self.listed is None:
            for _ in range(SETS_TRIED):
                yield tuple(rng.sample(self.pool, self.number))
            return
        # Fisher and Yates, step by step: mostly the first set will do.
        moved: dict[int, int] = {}
        for last in range(len(self.listed) - 1, -1, -1):
            place = rng.randint(0, last)
            yield tuple(rng.sample(self.listed[moved.get(place, place)], self.number))
            moved[place] = moved.get(last, last)


@lru_cache(maxsize=16)
def shown_together(collection: Collection, number: int) -> Sequence[Names]:
    """Return every set of so many classes that a picture shows all of, in sorted order."""
    return sorted({names for kinds in collection.by_kinds for names in itertools.combinations(sorted(kinds), number)})
