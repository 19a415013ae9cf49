"""Layers in which the tokens of an image see no other image: a row taken apart, so that what is hidden is not computed.

Source: MIMIC, section on attention masking.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from attrs import evolve, field, frozen

from vlmkit.errors import ModelError, SpecError
from vlmkit.local.masking import TEXT, image_of
from vlmkit.tokentree.family import Family, Picture
from vlmkit.tokentree.layout import Bucket, aligned
from vlmkit.types import Intervention, Mask
from vlmkit.types.tuples import as_tuple

if TYPE_CHECKING:
    from vlmkit.tokentree.packing import Row


@frozen
class Isolation:
    """Where the images of a row do not see each other.

    Args:
        layers: The layers, counted from 0.
        text: Whether an image sees the text before it.
        images: Index of the image that each token belongs to, ``TEXT`` for text; those of the row's past come first.
    """

    layers: frozenset[int]
    text: bool
    images: tuple[int, ...] = field(converter=as_tuple)

    def only(self, places: Iterable[int]) -> Isolation:
        """Return that of some of the tokens, those of the past included."""
        return evolve(self, images=[self.images[place] for place in places])


def isolation_of(
    interventions: Sequence[Intervention], ids: Sequence[int], pictures: Sequence[Picture], family: Family
) -> Isolation | None:
    """Return where the images of a prompt do not see each other; None for nowhere.

    Args:
        interventions: What is changed inside the model.
        ids: Token ids from the very start, placeholders expanded.
        pictures: The images, prepared.
        family: The model.

    Raises:
        SpecError: There are two masks, or a layer is not there.
        ModelError: The model's images are no part of its sequence.
    """
    masks = [change for change in interventions if isinstance(change, Mask)]
    if not masks or not pictures:
        return None
    if len(masks) > 1:
        raise SpecError("a query has two masks", hint="use masked once")
    if any(picture.state_bytes for picture in pictures):
        raise ModelError(
            "the model's images are no part of its sequence, so there is nothing that a mask could hide from them",
            hint="leave masked out",
        )
    layers = masks[0].chosen(len(family.layers))
    if not layers:
        return None
    images = image_of(ids, family.image_token, [picture.tokens for picture in pictures])
    return Isolation(layers, masks[0].text, images)


@frozen(eq=False)
class Strip:
    """Some queries of a row with the keys that they may see.

    Args:
        row: The row.
        columns: The queries: indices of tokens of the row, in order.
        places: The keys: indices of tokens of the row's past and, behind them, of the row itself, in order.
    """

    row: Row
    columns: Sequence[int]
    places: Sequence[int]

    @property
    def causal(self) -> bool:
        """Whether it is an ordinary sequence from its very start: as many queries as keys, none of them seen ahead."""
        starts = self.row.starts
        return len(self.columns) == len(self.places) and all(starts[column] == column for column in self.columns)

    @property
    def reads(self) -> list[int]:
        """Which of the queries' last hidden states are wanted, counted among the queries."""
        if self.row.reads is None:
            return list(range(len(self.columns)))
        wanted = set(self.row.reads)
        return [index for index, column in enumerate(self.columns) if column in wanted]


def strips(row: Row, isolation: Isolation) -> Iterator[Strip]:
    """Take a row without branches apart: its text, which sees all before it, and each of its images."""
    past = len(isolation.images) - len(row)
    columns: dict[int, list[int]] = {}
    for column, image in enumerate(isolation.images[past:]):
        columns.setdefault(image, []).append(column)
    places: dict[int, list[int]] = {}
    for place, image in enumerate(isolation.images):
        places.setdefault(image, []).append(place)
    for image, own in columns.items():
        seen: Sequence[int] = places[image]
        if image == TEXT:
            seen = range(past + own[-1] + 1)
        elif isolation.text:
            seen = [*(place for place in places.get(TEXT, ()) if place < seen[0]), *seen]
        yield Strip(row, own, seen)


def strip_bucket(group: Sequence[Strip], keys_of: Sequence[torch.Tensor], before: int, device: torch.device) -> Bucket:
    """Lay out strips of like size.

    Args:
        group: The strips, causal ones or others.
        keys_of: For each strip the index of every token of its row's past and of the row itself, among all past
            tokens followed by the packed ones, int64.
        before: Number of all past tokens.
        device: Where the bucket is wanted.
    """
    length = max(map(len, keys_of))
    causal = group[0].causal
    width, depth = max(len(strip.columns) for strip in group), max(len(strip.places) for strip in group)
    depth = depth if causal else aligned(depth)
    reads = [torch.tensor(strip.reads, dtype=torch.int64) for strip in group]
    queries, query_places = torch.zeros(2, len(group), width, dtype=torch.int64)
    keys = torch.zeros(len(group), depth, dtype=torch.int64)
    # Padding repeats the first query, and is a key that nobody sees.
    key_places, first_seen = torch.full((2, len(group), depth), length)
    real = torch.zeros(len(group), width, dtype=torch.bool)
    read = torch.full((len(group), max(1, *map(len, reads))), -1)
    for index, (strip, of) in enumerate(zip(group, keys_of, strict=True)):
        past = len(of) - len(strip.row)
        places, own = torch.tensor(strip.places), past + torch.tensor(strip.columns)
        starts = torch.cat([torch.arange(past), past + torch.tensor(strip.row.starts)])
        query_places[index] = own[0]
        query_places[index, : len(own)] = own
        queries[index] = of[query_places[index]] - before
        real[index, : len(own)] = True
        keys[index, : len(places)] = of[places]
        key_places[index, : len(places)] = places
        first_seen[index, : len(places)] = starts[places]
        read[index, : len(reads[index])] = reads[index]
    first_seen, query_places = first_seen.to(device), query_places.to(device)
    return Bucket(
        queries=queries.to(device),
        keys=keys.to(device),
        mask=None if causal else (first_seen[:, None, :] <= query_places[:, :, None])[:, None],
        real=real.to(device),
        query_places=query_places,
        key_places=key_places.to(device),
        read=read.to(device),
        length=length,
    )
