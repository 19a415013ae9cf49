"""What the heads of a probe learn: the node of each level on the way down to a subject's leaf."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Self

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from vlmkit import Taxonomy
from vlmkit.errors import DataError
from vlmkit_hierarchy.levels import LevelNames
from vlmkit_hierarchy.probes.split import PARTS

UNGRADED = -1
"""Stands where a path ends above a level."""


@frozen(eq=False)
class Targets:
    """The right classes of subjects at every level.

    Args:
        rows: Which subjects are probed, by their index.
        names: What the classes of each level are called, top first.
        classes: int64 [rows, levels]; ``UNGRADED`` below the end of a path, which is never above the first level.
    """

    rows: tuple[int, ...]
    names: tuple[tuple[str, ...], ...]
    classes: NDArray[np.int64]

    @classmethod
    def of(cls, taxonomy: Taxonomy, labels: Sequence[str], *, above_leaves: bool = False) -> Self:
        """Return the targets of subjects that are enough of their kind for every part of a split.

        Args:
            taxonomy: The tree.
            labels: The subjects' labels.
            above_leaves: Whether the paths end above the label's node: one subject a leaf is none to judge by.

        Raises:
            TaxonomyError: A label is that of no node.
            DataError: Too few subjects are of one kind.
        """
        nodes = map(taxonomy.path_of, labels)
        ends = [node[:-1] if above_leaves else node for node in nodes]
        times = Counter(ends)
        rows = tuple(index for index, end in enumerate(ends) if end and times[end] >= len(PARTS))
        if len({ends[index] for index in rows}) < 2:
            what = "inner nodes have" if above_leaves else "labels have"
            raise DataError(
                f"fewer than two {what} {len(PARTS)} examples, so there is nothing to learn and to judge",
                hint="give more examples of each, one at least for training, selection and test",
            )
        names = LevelNames(taxonomy)
        paths = [names.path(ends[index]) for index in rows]
        depth = max(map(len, paths))
        levels = [sorted({path[level] for path in paths if level < len(path)}) for level in range(depth)]
        places = [{name: place for place, name in enumerate(level)} for level in levels]
        classes = np.full((len(rows), depth), UNGRADED, dtype=np.int64)
        for row, path in enumerate(paths):
            classes[row, : len(path)] = [places[level][name] for level, name in enumerate(path)]
        return cls(rows, tuple(map(tuple, levels)), classes)

    @property
    def kinds(self) -> NDArray[np.int64]:
        """A number for each distinct path, int64 [rows]."""
        kinds: NDArray[np.int64] = np.unique(self.classes, axis=0, return_inverse=True)[1].reshape(-1)
        return kinds
