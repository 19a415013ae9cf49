"""What a task draws for one item."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from vlmkit_mimic.collection import Collection


@frozen
class Drawn:
    """Pictures, and the answer that they make right.

    Args:
        answer: The classes that the answer names, in the order asked, with their instances in all pictures.
        showing: Indices of the pictures that show any of the classes asked about.
        distractors: Indices of those that show none.
        group: The super-category that is asked about, or an empty string.
    """

    answer: Mapping[str, int]
    showing: tuple[int, ...]
    distractors: tuple[int, ...]
    group: str = ""

    @classmethod
    def of(
        cls,
        collection: Collection,
        names: tuple[str, ...],
        showing: list[int],
        distractors: list[int],
        group: str = "",
    ) -> Drawn:
        """Count the instances of the named classes."""
        pictures = [collection.pictures[index] for index in showing]
        counts = {name: sum(picture.counts.get(name, 0) for picture in pictures) for name in names}
        return cls(counts, tuple(showing), tuple(distractors), group)
