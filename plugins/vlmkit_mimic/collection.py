"""Pictures with the classes that each shows, looked up by class."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from vlmkit.errors import DataError
from vlmkit.runs.convert import dumps

Kinds = frozenset[str]
"""The classes that a picture shows, of those that matter."""


@frozen
class Scene:
    """One annotated picture, as a source has it.

    Args:
        name: The picture's name in its source.
        objects: Class of each box, and the share of the picture that the box covers, from 0 to 1.
        flaw: Why its instances cannot be counted, or an empty string.
    """

    name: str
    objects: Sequence[tuple[str, float]]
    flaw: str = ""


@frozen
class Annotations:
    """What a source says.

    Args:
        classes: Names of the classes that can be asked about.
        groups: Super-categories with their classes.
        scenes: The pictures.
    """

    classes: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    scenes: Iterable[Scene]


@frozen
class Picture:
    """One picture to ask about.

    Args:
        name: Its name in its source.
        counts: How many instances of each class it shows; of the others it shows none.
    """

    name: str
    counts: Mapping[str, int]


@frozen(slots=False, eq=False)
class Collection:
    """The pictures to ask about.

    Args:
        classes: Names of the classes that can be asked about.
        groups: Super-categories with their classes.
        pictures: The pictures.
        dropped: How many pictures were left out, by reason.
    """

    classes: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    pictures: tuple[Picture, ...] = field(repr=False)
    dropped: Mapping[str, int]

    @classmethod
    def of(cls, annotations: Annotations, *, min_area: float) -> Collection:
        """Keep the pictures whose objects can all be seen and counted.

        A picture with one object that is too small is left out as a whole: leaving out the object alone would make
        the count of its class wrong.

        Args:
            annotations: What the source says.
            min_area: Smallest share of a picture that a box may cover, from 0 to 1.

        Raises:
            DataError: No picture is left.
        """
        pictures: list[Picture] = []
        dropped: Counter[str] = Counter()
        for scene in annotations.scenes:
            small = any(area < min_area for _, area in scene.objects)
            flaw = scene.flaw or (f"a box below {min_area:.3g} of the picture" if small else "")
            if flaw:
                dropped[flaw] += 1
            else:
                pictures.append(Picture(scene.name, Counter(name for name, _ in scene.objects)))
        if not pictures:
            reasons = ", ".join(f"{number:,} with {flaw}" for flaw, number in dropped.most_common())
            raise DataError(
                f"the source has no usable picture{f' ({reasons})' if reasons else ''}",
                hint="lower --min-area, or check the paths" if reasons else "check the annotations",
            )
        pictures.sort(key=lambda picture: picture.name)
        return cls(annotations.classes, annotations.groups, tuple(pictures), dict(sorted(dropped.items())))

    def without(self, names: Iterable[str], taken_by: str) -> Collection:
        """Leave out pictures that a benchmark shows.

        Args:
            names: Their names.
            taken_by: What messages call the benchmark.

        Raises:
            DataError: No picture is left.
        """
        taken = frozenset(names)
        left = tuple(picture for picture in self.pictures if picture.name not in taken)
        if not left:
            raise DataError(
                f"no picture is left: {taken_by} shows all {len(taken):,}", hint="give a source with other pictures"
            )
        reason = f"a place in {taken_by}"
        number = self.dropped.get(reason, 0) + len(self.pictures) - len(left)
        return evolve(self, pictures=left, dropped={**self.dropped, reason: number})

    @cached_property
    def digest(self) -> str:
        """The first 12 hexadecimal digits of the SHA-256 over classes, groups and pictures."""
        content = [self.classes, self.groups, [[p.name, sorted(p.counts.items())] for p in self.pictures]]
        return hashlib.sha256(dumps(content)).hexdigest()[:12]

    @cached_property
    def row(self) -> Mapping[str, int]:
        """The rows of the table by class: all that can be asked about, and all that any picture shows."""
        shown = {name for picture in self.pictures for name in picture.counts}
        return {name: row for row, name in enumerate(sorted({*self.classes, *shown}))}

    @cached_property
    def table(self) -> NDArray[np.uint16]:
        """How many instances of each class each picture shows, shape [classes, pictures]."""
        table = np.zeros((len(self.row), len(self.pictures)), dtype=np.uint16)
        for index, picture in enumerate(self.pictures):
            for name, number in picture.counts.items():
                table[self.row[name], index] = number
        return table

    @cached_property
    def holders(self) -> Mapping[str, tuple[int, ...]]:
        """Indices of the pictures that show a class, for each class that any shows."""
        found: dict[str, list[int]] = {}
        for index, picture in enumerate(self.pictures):
            for name in picture.counts:
                found.setdefault(name, []).append(index)
        return {name: tuple(indices) for name, indices in found.items()}

    @cached_property
    def by_kinds(self) -> Mapping[Kinds, tuple[int, ...]]:
        """Indices of the pictures that show exactly these classes."""
        found: dict[Kinds, list[int]] = {}
        for index, picture in enumerate(self.pictures):
            found.setdefault(frozenset(picture.counts), []).append(index)
        return {kinds: tuple(indices) for kinds, indices in found.items()}


@lru_cache(maxsize=256)
def showing(collection: Collection, targets: Kinds) -> NDArray[np.bool_]:
    """Return for each picture whether it shows any of the targets, shape [pictures]."""
    return np.asarray(collection.table[_rows(collection, targets)].any(axis=0))


@lru_cache(maxsize=256)
def with_total(collection: Collection, targets: Kinds, total: int) -> Mapping[Kinds, Sequence[int]]:
    """Return the pictures that show so many instances of the targets, by which of the targets they show."""
    totals = collection.table[_rows(collection, targets)].sum(axis=0)
    return _by_kinds(collection, targets, np.flatnonzero(totals == total))


@lru_cache(maxsize=256)
def by_targets(collection: Collection, targets: Kinds) -> Mapping[Kinds, Sequence[int]]:
    """Return the pictures that show any of the targets, by which of them."""
    return _by_kinds(collection, targets, np.flatnonzero(showing(collection, targets)))


def _by_kinds(collection: Collection, targets: Kinds, places: NDArray[np.intp]) -> dict[Kinds, Sequence[int]]:
    """Sort pictures by which of the targets they show."""
    names = sorted(targets)
    shown = collection.table[_rows(collection, targets)][:, places] > 0
    kinds, group = np.unique(shown, axis=1, return_inverse=True)
    return {
        frozenset(itertools.compress(names, kinds[:, index])): places[group == index].tolist()
        for index in range(kinds.shape[1])
    }


def _rows(collection: Collection, targets: Kinds) -> list[int]:
    """Return the rows of the targets in the table, in the order of their names."""
    return [collection.row[name] for name in sorted(targets)]
