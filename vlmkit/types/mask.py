"""Images that do not see each other, in chosen layers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar

from attrs import field, frozen

from vlmkit.errors import SpecError
from vlmkit.types.capability import Capability
from vlmkit.types.intervention import Intervention

_NAMED: Mapping[str, Callable[[int], range]] = MappingProxyType(
    {
        "all": range,
        "deep": lambda count: range(count // 2, count),
        "none": lambda count: range(0),
    }
)
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_READABLE = "deep, all, none, or numbers and ranges such as 12-23 or 0,3,5-7"


def _without_blanks(text: str) -> str:
    return str(text).replace(" ", "")


@frozen
class Mask(Intervention):
    """In the chosen layers the tokens of an image see those of no other image.

    Inside of an image they see each other as they do without it. Text, which includes everything that is generated,
    sees what it sees without it.

    Args:
        layers: Which layers, counted from 0: numbers and ranges, both ends included, joined by commas; ``all``;
            ``none``; ``deep`` for the deeper half, as in the paper.
        text: Whether images see the text before them. The paper does not say; in its code they do not.

    Raises:
        SpecError: ``layers`` cannot be read.

    Source: MIMIC, section on attention masking.
    """

    requires: ClassVar[Capability] = Capability.MASK

    layers: str = field(default="deep", converter=_without_blanks)
    text: bool = True

    def __attrs_post_init__(self) -> None:
        self._spans()

    def chosen(self, count: int) -> frozenset[int]:
        """Return the layers of a model that has ``count`` of them.

        Raises:
            SpecError: A layer is not there.
        """
        if self.layers in _NAMED:
            return frozenset(_NAMED[self.layers](count))
        layers = frozenset[int](layer for first, last in self._spans() for layer in range(first, last + 1))
        if max(layers) >= count:
            raise SpecError(
                f"layers {self.layers}: the model has no layer {max(layers)}",
                hint=f"its layers are 0 to {count - 1}",
            )
        return layers

    def _spans(self) -> list[tuple[int, int]]:
        if self.layers in _NAMED:
            return []
        spans = []
        for part in self.layers.split(","):
            match = _RANGE.fullmatch(part)
            if match is None or int(match[2] or match[1]) < int(match[1]):
                raise SpecError(f"layers {self.layers!r} cannot be read", hint=f"give {_READABLE}")
            spans.append((int(match[1]), int(match[2] or match[1])))
        return spans
