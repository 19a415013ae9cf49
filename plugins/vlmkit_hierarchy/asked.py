"""The images of a question bank as a data set, for a run that asks about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import evolve, field, frozen

from vlmkit import Dataset, Example, LabelSpace
from vlmkit.errors import DataError
from vlmkit.runs import skimmed
from vlmkit_hierarchy.bank import Bank

ASKED = "questions:"
"""What the data of a run begins with that answers a bank; the digest of the bank follows."""

NO_LABELS = LabelSpace(())
"""The options stand in the questions, not in a label space."""


@frozen
class AskedImages:
    """The images of a bank as examples, whose target is the last name of the right path.

    Args:
        bank: The questions.
        images: The data set that has the pictures; None where they are not shown.

    Raises:
        DataError: The data set lacks an image.
    """

    bank: Bank
    images: Dataset | None = field(repr=False)

    def __attrs_post_init__(self) -> None:
        if self.images is None:
            return
        missing = self.bank.places.keys() - {example.id for example in skimmed(self.images, None)}
        if missing:
            raise DataError(
                f"the data set lacks {len(missing):,} of the {len(self.bank):,} images of {self.bank.path}, "
                f"{min(missing)!r} among them",
                hint="give the data set that the questions are about: --data DATA",
            )

    @property
    def labels(self) -> LabelSpace:
        """Nothing."""
        return NO_LABELS

    def __len__(self) -> int:
        return len(self.bank)

    def __iter__(self) -> Iterator[Example]:
        return self._asked(self.images)

    def skim(self) -> Iterator[Example]:
        """Iterate over the examples, without their pictures where the data set can leave them out."""
        return self._asked(None if self.images is None else skimmed(self.images, None))

    def _asked(self, images: Iterable[Example] | None) -> Iterator[Example]:
        if images is None:
            yield from (Example(sheet.image, (), sheet.path[-1]) for sheet in self.bank)
            return
        for example in images:
            if example.id in self.bank.places:
                yield evolve(example, target=self.bank.sheet(example.id).path[-1], question=None)
