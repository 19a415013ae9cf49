"""What data sets of rows have in common, whatever they are stored in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen
from attrs.converters import optional

from vlmkit import Example, LabelSpace
from vlmkit.data.labels import read_labels
from vlmkit.errors import DataError
from vlmkit_hf.columns import AUTO, Column, Roles
from vlmkit_hf.pictures import pictures

Row = tuple[str, Mapping[str, Any]]
"""A row and where it stands, which is its id unless a column has one."""


@frozen(kw_only=True)
class Table(ABC):
    """Rows of a table as examples. Only the columns that an example needs are read, and no picture is decoded.

    The labels are the classes of the target's column in their order or, where it holds text, the targets in sorted
    order; those take a pass over the targets.

    Args:
        image: Columns of pictures; by default the only one of that type.
        target: Column of the right label: by default the only one of classes, else the one called ``label``,
            ``target`` or ``cls``, else the only one of text where there is no question; ``none`` for no target.
        question: Column of a question about the pictures: by default the one called ``question``; ``none`` to classify.
        id: Column of the id; by default rows are numbered.
        classes: Label file that names the classes of a target that is a number, from 0 on.
    """

    image: tuple[str, ...] = ()
    target: str | None = AUTO
    question: str | None = AUTO
    id: str | None = None
    classes: Path | None = field(default=None, converter=optional(Path))
    _outline: list[Example] = field(factory=list, init=False, repr=False, eq=False)

    @property
    @abstractmethod
    def where(self) -> str:
        """What messages call it."""

    @property
    def root(self) -> Path | None:
        """What the paths of pictures in text columns are relative to; None where text names no picture."""
        return None

    @abstractmethod
    def columns(self) -> Sequence[Column]:
        """Return all columns that there are.

        Raises:
            DataError: It cannot be opened.
        """

    @abstractmethod
    def rows(self, columns: Sequence[Column]) -> Iterator[Row]:
        """Iterate over the rows with these columns alone, which may be none.

        Raises:
            DataError: A row cannot be read.
        """

    @cached_property
    def labels(self) -> LabelSpace:
        """The label space, in its natural order."""
        target = self._roles.target
        if target is not None and target.names:
            return LabelSpace(target.names)
        return LabelSpace(sorted({example.target for example in self.skim() if example.target is not None}))

    def __len__(self) -> int:
        return sum(1 for _ in self.skim())

    def __iter__(self) -> Iterator[Example]:
        return self._examples(self._roles.images)

    def skim(self) -> Iterator[Example]:
        """Iterate over the examples without their pictures; after one whole pass nothing is read any more.

        Raises:
            DataError: A row cannot be read.
        """
        if not self._outline:
            outline = []
            for example in self._examples(()):
                outline.append(example)
                yield example
            self._outline[:] = outline
        else:
            yield from self._outline

    @cached_property
    def _roles(self) -> Roles:
        roles = Roles.of(
            self.columns(),
            self.where,
            image=self.image,
            target=self.target,
            question=self.question,
            id=self.id,
            paths=self.root is not None,
        )
        if self.classes is None:
            return roles
        if roles.target is None or roles.target.kind != "number":
            raise DataError(f"{self.where} has no target that is a number", hint="leave classes=FILE out")
        return evolve(roles, target=evolve(roles.target, names=read_labels(self.classes).names))

    def _examples(self, images: Iterable[Column]) -> Iterator[Example]:
        roles, images = self._roles, tuple(images)
        for place, row in self.rows((*images, *roles.texts)):
            try:
                target, question, name = (
                    None if column is None else column.text(row) for column in (roles.target, roles.question, roles.id)
                )
            except ValueError as error:
                raise DataError(f"{self.where}, row {place}: {error}", hint="mend it there") from None
            found = tuple(source for column in images for source in pictures(column.value(row), self.root))
            # A row without a picture fails when its picture is opened, and the others go on.
            yield Example(name or place, found or (b"",), target, question)
