"""Which column of a table is what: pictures, target, question, id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self

from attrs import field, frozen

from vlmkit.errors import DataError

AUTO = "auto"
"""The value of an option that leaves the choice of the column to its type and name."""

_TARGETS, _QUESTIONS = ("label", "target", "cls"), ("question",)

Kind = Literal["image", "images", "binary", "class", "text", "number", "other"]


@frozen
class Column:
    """One column, or one entry of a column that holds objects.

    Args:
        path: Name of the column, then the keys down to the entry.
        kind: What it can serve as.
        type: How messages call its type.
        names: The names of its classes, by number; empty where it has none.
    """

    path: tuple[str, ...]
    kind: Kind
    type: str
    names: tuple[str, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """The name in options: column and keys, joined by dots."""
        return ".".join(self.path)

    def value(self, row: Mapping[str, Any]) -> Any:
        """Return what a row holds there; None where it holds nothing."""
        found: Any = row
        for key in self.path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    def text(self, row: Mapping[str, Any]) -> str | None:
        """Return what a row holds there as trimmed text, for a class its name; None where it holds nothing.

        A class below 0 stands for none, as in the test splits of benchmarks.

        Raises:
            ValueError: It is no text, or the number of no class.
        """
        value = self.value(row)
        if self.names and isinstance(value, int):
            if value >= len(self.names):
                raise ValueError(f"class {value} is none of the {len(self.names):,} classes")
            return self.names[value] if value >= 0 else None
        if isinstance(value, bytes):
            value = value.decode("utf-8")
        if not isinstance(value, str | int | None):
            raise ValueError(f"{self.name} holds a {type(value).__name__} and no text")
        return None if value is None else str(value).strip() or None


@frozen
class Roles:
    """Which columns an example is made of.

    Args:
        images: Columns of pictures, in the order in which an example has them.
        target: Column of the right label, or None.
        question: Column of the question, or None.
        id: Column of the id, or None to number the rows.
    """

    images: tuple[Column, ...]
    target: Column | None
    question: Column | None
    id: Column | None

    @property
    def texts(self) -> tuple[Column, ...]:
        """The columns beside the pictures."""
        return tuple(column for column in (self.target, self.question, self.id) if column is not None)

    @classmethod
    def of(
        cls,
        columns: Sequence[Column],
        where: str,
        *,
        image: Sequence[str] = (),
        target: str | None = AUTO,
        question: str | None = AUTO,
        id: str | None = None,
        paths: bool = False,
    ) -> Self:
        """Give every role a column: the named one, else the only one that can be meant.

        Args:
            columns: What there is.
            where: What messages call the table.
            image: Names of the columns of pictures.
            target: Name of the column of targets; None where there is none.
            question: Name of the column of questions; None where there is none.
            id: Name of the column of ids.
            paths: Whether text may name a picture.

        Raises:
            DataError: A column is not there or holds something else, or several may be meant; all are listed.
        """
        choose = _Choice(columns, where)
        textual: tuple[Kind, ...] = ("class", "text", "number", "binary")
        pictorial: tuple[Kind, ...] = ("image", "images", "binary", *(("text",) if paths else ()))
        asked = (
            choose.only("question", choose.called(_QUESTIONS, choose.kinds("text")))
            if question == AUTO
            else choose.named("question", question, textual)
        )
        return cls(
            tuple(choose.one("image", name, pictorial) for name in image) or (choose.picture(),),
            choose.target(asked) if target == AUTO else choose.named("target", target, textual),
            asked,
            choose.named("id", id, textual),
        )


@frozen
class _Choice:
    columns: Sequence[Column]
    where: str

    def kinds(self, *kinds: Kind) -> list[Column]:
        return [column for column in self.columns if column.kind in kinds]

    def called(self, names: Iterable[str], columns: Iterable[Column]) -> list[Column]:
        return [column for column in columns if column.path[-1].lower() in names]

    def picture(self) -> Column:
        found = self.only("image", self.kinds("image", "images") or self.kinds("binary"), optional=False)
        if found is None:
            raise DataError(
                f"{self.where} has no column of pictures, only {_listed(self.columns)}", hint="give image=COL"
            )
        return found

    def target(self, question: Column | None) -> Column | None:
        certain = self.kinds("class") or self.called(_TARGETS, self.kinds("text", "number", "binary"))
        if certain or question is not None:
            return self.only("target", certain)
        # datasets adds __key__ and __url__ to a WebDataset
        return self.only("target", [column for column in self.kinds("text") if not column.name.startswith("__")])

    def only(self, role: str, found: Sequence[Column], *, optional: bool = True) -> Column | None:
        """Return the only column found, if any.

        Raises:
            DataError: There are several.
        """
        if len(found) > 1:
            instead = f", or {role}=none" if optional else ""
            raise DataError(
                f"{self.where} has {len(found)} columns that may be the {role}: {_listed(found)}",
                hint=f"choose with {role}={found[0].name}{instead}",
            )
        return found[0] if found else None

    def named(self, role: str, name: str | None, kinds: Sequence[Kind]) -> Column | None:
        return None if name is None else self.one(role, name, kinds)

    def one(self, role: str, name: str, kinds: Sequence[Kind]) -> Column:
        """Return the column of that name.

        Raises:
            DataError: There is none, or it holds something else.
        """
        found = next((column for column in self.columns if column.name == name), None)
        if found is None or found.kind not in kinds:
            problem = f"no column {name!r}" if found is None else f"{found.type} in column {name!r}"
            fitting = self.kinds(*kinds)
            raise DataError(
                f"{self.where} has {problem}, which was to be the {role}",
                hint=f"these can be: {_listed(fitting)}" if fitting else "leave it out",
            )
        return found


def _listed(columns: Iterable[Column]) -> str:
    return ", ".join(f"{column.name} ({column.type})" for column in columns) or "nothing"
