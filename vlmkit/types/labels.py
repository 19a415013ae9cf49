"""Labels and the ordered space of distinct labels a task chooses from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import overload

from attrs import field, frozen

from vlmkit.errors import LabelError
from vlmkit.types.tuples import as_tuple

MAX_LABEL_LENGTH = 1000
"""Longest label name accepted, in characters."""

NONE_NAME = "None"
"""The literal answer that stands for "none of the options"."""


def _checked_name(_: object, __: object, name: str) -> None:
    if not isinstance(name, str):
        raise LabelError(f"label {name!r} is no text", hint="write it as a text")
    if not name.strip():
        raise LabelError("a label is empty", hint="remove it or give it a name")
    if len(name) > MAX_LABEL_LENGTH:
        raise LabelError(
            f"label {name[:40]!r}... has {len(name):,} characters",
            hint=f"shorten it to at most {MAX_LABEL_LENGTH:,}; put long text into its description",
        )
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        raise LabelError(f"label {name[:40]!r} holds a line break or another control character", hint="remove it")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise LabelError(f"label {name[:40]!r} is not valid Unicode", hint="save the labels as UTF-8") from None


@frozen
class Label:
    """One category: the name that a model reads and that a prediction returns.

    Args:
        name: The name, as shown and returned; never trimmed or re-cased.
        description: A sentence that a prompt may show beside the name.
        synonyms: Other names that the ``text`` readout accepts when told to.
    """

    name: str = field(validator=_checked_name)
    description: str | None = None
    synonyms: tuple[str, ...] = field(default=(), converter=as_tuple)

    def __str__(self) -> str:
        return self.name


def _as_labels(labels: Iterable[Label | str]) -> tuple[Label, ...]:
    return tuple(label if isinstance(label, Label) else Label(label) for label in labels)


@frozen
class LabelSpace(Sequence[Label]):
    """Ordered distinct labels.

    Exact duplicates raise ``LabelError``; names that differ in case or outer blanks only are legal but listed in
    ``collisions``, because a case-folding parser cannot tell them apart.

    Args:
        labels: Labels or plain names, in the order in which they are shown.
    """

    labels: tuple[Label, ...] = field(converter=_as_labels)

    def __attrs_post_init__(self) -> None:
        seen: dict[str, int] = {}
        for position, label in enumerate(self.labels):
            if label.name in seen:
                raise LabelError(
                    f"label {label.name!r} stands twice, at positions {seen[label.name] + 1} and {position + 1}",
                    hint="remove one or tell them apart, for example 'crane (bird)'",
                )
            seen[label.name] = position

    @overload
    def __getitem__(self, index: int) -> Label: ...
    @overload
    def __getitem__(self, index: slice) -> LabelSpace: ...
    def __getitem__(self, index: int | slice) -> Label | LabelSpace:
        return LabelSpace(self.labels[index]) if isinstance(index, slice) else self.labels[index]

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)

    def __contains__(self, label: object) -> bool:
        return (label.name if isinstance(label, Label) else label) in self._by_name

    def label(self, name: str) -> Label:
        """Return the label of that exact name.

        Raises:
            KeyError: No label has that name.
        """
        return self._by_name[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The names in order."""
        return tuple(label.name for label in self.labels)

    @property
    def collisions(self) -> tuple[tuple[str, ...], ...]:
        """Groups of names that become equal once trimmed and case-folded."""
        folded: dict[str, list[str]] = {}
        for name in self.names:
            folded.setdefault(name.strip().casefold(), []).append(name)
        return tuple(tuple(group) for group in folded.values() if len(group) > 1)

    @cached_property
    def _by_name(self) -> dict[str, Label]:
        return {label.name: label for label in self.labels}
