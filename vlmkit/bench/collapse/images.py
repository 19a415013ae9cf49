"""The images of a benchmark: for each seed a sample of the data."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import cached_property

from attrs import frozen

from vlmkit.contracts import Dataset
from vlmkit.errors import DataError
from vlmkit.runs import Survey
from vlmkit.types import Example, LabelSpace


@frozen(slots=False)
class Sample:
    """Some images of a data set.

    Args:
        labels: The labels of the whole data set.
        examples: The images, each with its right label.
    """

    labels: LabelSpace
    examples: tuple[Example, ...]

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The ids, in order."""
        return tuple(example.id for example in self.examples)

    @cached_property
    def _targets(self) -> dict[str, str | None]:
        return {example.id: example.target for example in self.examples}

    def target_of(self, image: str) -> str:
        """Return the right label of an image."""
        target = self._targets[image]
        assert target is not None
        return target


def draw_samples(dataset: Dataset, images: int, seeds: Sequence[int]) -> list[Sample]:
    """Draw images for each seed, in one pass over the data.

    A sample of fewer images begins a sample of more. Two seeds may draw the same image.

    Args:
        dataset: Where from.
        images: How many for each seed.
        seeds: The seeds.

    Raises:
        DataError: There are fewer images, or one that is drawn has no right label or one that is not among the labels.
    """
    if images > len(dataset):
        raise DataError(
            f"the data has {len(dataset):,} images, not {images:,}",
            hint=f"give --images {len(dataset)} or fewer, or more data" if len(dataset) else "give more data",
        )
    places = {seed: _drawn(len(dataset), seed)[:images] for seed in seeds}
    wanted = {place for chosen in places.values() for place in chosen}
    found = {place: example for place, example in enumerate(dataset) if place in wanted}
    for example in found.values():
        if example.target is None or example.question is not None:
            raise DataError(f"image {example.id} has no right label", hint="give data with targets")
    Survey.of(found.values(), dataset.labels)
    return [Sample(dataset.labels, tuple(found[place] for place in chosen)) for chosen in places.values()]


def _drawn(images: int, seed: int) -> list[int]:
    """Return the places of all images, in the order in which they are drawn."""
    order = list(range(images))
    random.Random(f"images\0{seed}").shuffle(order)
    return order
