"""How labels are cut into groups.

Every grouping puts the labels in some order and cuts it into consecutive slices: each label is in exactly one group,
and all groups but the last are full.
"""

from __future__ import annotations

import csv
import random
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from vlmkit import Label, Taxonomy
from vlmkit.errors import DataError, TaxonomyError

Grouping = Literal["random", "list", "most-similar", "least-similar", "taxonomy"]
"""The names of the groupings, as options have them."""


@frozen(eq=False)
class Similarity:
    """How alike labels are, looked up by name: wrappers may reorder the labels or leave some out.

    Args:
        source: Where it came from, for messages.
        position: Row and column of each label in ``matrix``, by name.
        matrix: Similarities [N, N], float64, greater is more alike; only their order matters.
    """

    source: str
    position: Mapping[str, int] = field(repr=False)
    matrix: NDArray[np.float64] = field(repr=False)

    def __attrs_post_init__(self) -> None:
        size = len(self.position)
        if self.matrix.shape != (size, size):
            raise DataError(
                f"similarity {self.source} has shape {list(self.matrix.shape)} for {size} distinct names",
                hint="give one row and one column for each label",
            )
        if not np.isfinite(self.matrix).all():
            raise DataError(f"similarity {self.source} holds a value that is not finite", hint="give numbers only")

    @classmethod
    def read(cls, path: Path) -> Similarity:
        """Read a ``.npz`` file with arrays ``names`` and ``similarity``, or a ``.csv`` file headed by the names.

        Raises:
            DataError: The file cannot be read, or is not a square matrix of finite numbers.
        """
        try:
            if path.suffix == ".npz":
                with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as arrays:
                    names, matrix = arrays["names"].tolist(), arrays["similarity"].astype(np.float64)
            else:
                with path.open(encoding="utf-8", newline="") as lines:
                    names = next(csv.reader(lines), [])
                    matrix = np.loadtxt(lines, delimiter=",", ndmin=2)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(
                f"similarity {path} cannot be read ({reason})",
                hint="give a .npz with the arrays names and similarity, or a .csv with a header of names",
            ) from error
        return cls(str(path), {name: row for row, name in enumerate(names)}, matrix)

    def order(self, labels: Sequence[Label], size: int, *, most: bool) -> list[Label]:
        """Order labels so that slices of ``size`` hold labels that are most, or least, alike.

        Greedy: a group opens with the first label left, then takes the one most, or least, like its members on the
        whole. Ties go to the label listed first.

        Raises:
            DataError: A label is not in the matrix.
        """
        for label in labels:
            if label.name not in self.position:
                raise DataError(f"similarity {self.source} has no label {label.name!r}", hint="add its row and column")
        rows = [self.position[label.name] for label in labels]
        affinity_to = self.matrix[np.ix_(rows, rows)] * (1 if most else -1)
        taken = np.zeros(len(labels), dtype=bool)
        affinity = np.zeros(len(labels))
        order: list[Label] = []
        for place in range(len(labels)):
            if place % size == 0:
                affinity = np.zeros(len(labels))
            chosen = int(np.argmax(np.where(taken, -np.inf, affinity)))
            taken[chosen] = True
            affinity = affinity + affinity_to[chosen]
            order.append(labels[chosen])
        return order


def partition(
    labels: Sequence[Label],
    size: int,
    *,
    grouping: Grouping,
    rng: random.Random,
    similarity: Similarity | None = None,
    taxonomy: Taxonomy | None = None,
) -> list[tuple[Label, ...]]:
    """Cut labels into groups of ``size``, the last of which may be smaller.

    Args:
        labels: The labels, in list order.
        size: Labels in a full group.
        grouping: ``random`` shuffles with ``rng``; ``list`` keeps the order; ``taxonomy`` puts kin side by side; the
            other two need ``similarity``.
        rng: Advanced by ``random`` alone.
        similarity: How alike the labels are.
        taxonomy: The tree that the labels are leaves of.

    Raises:
        TaxonomyError: ``taxonomy`` is asked for and missing, or a label is no leaf of it.
    """
    ordered = list(labels)
    if grouping == "random":
        rng.shuffle(ordered)
    elif grouping == "taxonomy":
        if taxonomy is None:
            raise TaxonomyError(
                "dci: grouping=taxonomy needs a taxonomy", hint="give --taxonomy FILE, or taxonomy=... in Python"
            )
        ordered = taxonomy.depth_first(ordered)
    elif grouping != "list":
        assert similarity is not None
        ordered = similarity.order(ordered, size, most=grouping == "most-similar")
    return [tuple(ordered[start : start + size]) for start in range(0, len(ordered), size)]
