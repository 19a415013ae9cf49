"""A first pass over a data set, before any model loads: pictures stay closed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Self

from attrs import frozen

from vlmkit.contracts import Dataset, Skims
from vlmkit.errors import DataError, LabelError
from vlmkit.types import Example, LabelSpace


def skimmed(dataset: Dataset, limit: int | None) -> Iterator[Example]:
    """Iterate over the first examples of a data set, without their pictures if it can leave them out."""
    return islice(dataset.skim() if isinstance(dataset, Skims) else dataset, limit)


@frozen
class Survey:
    """What a data set holds.

    Args:
        ids: The ids, in order.
        judged: Whether any example has a target.
    """

    ids: tuple[str, ...]
    judged: bool

    @classmethod
    def of(cls, examples: Iterable[Example], labels: LabelSpace) -> Self:
        """Look at every example.

        Raises:
            DataError: There is no example, an id stands twice, or a target is not among the labels.
            LabelError: There is something to classify and no label.
        """
        ids: dict[str, None] = {}
        judged = False
        for example in examples:
            if example.id in ids:
                raise DataError(f"two examples have the id {example.id!r}", hint="give each its own")
            ids[example.id] = None
            if example.question is None:
                _check_target(example, labels)
                judged = judged or example.target is not None
        if not ids:
            raise DataError("the data set holds no example", hint="check the path, or raise --limit")
        return cls(tuple(ids), judged)


def _check_target(example: Example, labels: LabelSpace) -> None:
    if not labels:
        raise LabelError("there are no labels to choose from", hint="give a label file: --labels FILE")
    if example.target is not None and example.target not in labels.names:
        near = difflib.get_close_matches(example.target, labels.names, n=3)
        raise DataError(
            f"example {example.id!r} has the target {example.target!r}, which is none of the {len(labels):,} labels",
            hint=f"did you mean {' or '.join(map(repr, near))}?" if near else "add it to the labels or mend the data",
        )
