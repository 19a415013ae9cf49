"""Trunks: what all questions about the same images share, computed once and kept while the budget lasts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from attrs import define, evolve, field, frozen

from vlmkit.local.bill import Bill
from vlmkit.local.candidates import common_prefix
from vlmkit.local.memory import Memory
from vlmkit.tokentree.executor import Executor
from vlmkit.tokentree.family import Family, Features, Picture
from vlmkit.tokentree.layout import KV, Sight
from vlmkit.tokentree.packing import ROW_TOKENS, Row
from vlmkit.types import Image, Tokens, Usage

WORTH_EXTENDING = 16
"""Shared tokens past a known trunk from which on prefilling them once pays for the extra forward."""

MAX_VALUES = 2**24
"""Most pixel values of one encoder pass, so that a batch of large pictures stays bounded."""


@frozen(eq=False)
class Trunk:
    """A prefilled beginning of a prompt.

    Args:
        tokens: Token ids, placeholders expanded.
        positions: int64 [A, len(tokens)].
        pieces: Keys and values of the tokens, in order.
        sees: What a token that follows sees by cross-attention: one sight or, in most families, none.
    """

    tokens: tuple[int, ...]
    positions: torch.Tensor
    pieces: tuple[KV, ...]
    sees: tuple[Sight, ...] = ()

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return sum(piece.nbytes for piece in self.pieces) + sum(sight.nbytes for sight in self.sees)

    @property
    def next_position(self) -> int:
        """Position of the text token that follows."""
        return int(self.positions.max()) + 1 if self.tokens else 0

    def first(self, count: int) -> Trunk:
        """Return the trunk of the first ``count`` tokens, all images included, sharing memory with this one."""
        if count == len(self.tokens):
            return self
        pieces, left = [], count
        for piece in self.pieces:
            if left > 0:
                pieces.append(piece.first(min(left, len(piece))))
                left -= len(piece)
        return evolve(self, tokens=self.tokens[:count], positions=self.positions[:, :count], pieces=tuple(pieces))


@frozen(eq=False)
class Wanted:
    """The questions of one call that are about the same images.

    Args:
        images: The images.
        prompts: Token ids of each question's prompt, placeholders expanded.
        payer: Index of the query that pays for the trunk.
    """

    images: tuple[Image, ...]
    prompts: Sequence[Sequence[int]]
    payer: int

    @property
    def key(self) -> tuple[str, ...]:
        """Identifies the images."""
        return tuple(image.digest for image in self.images)

    @property
    def shared(self) -> Sequence[int]:
        """What all prompts have in common, short of the last token of any: that one begins a branch."""
        shared = self.prompts[0][:-1]
        for prompt in self.prompts[1:]:
            shared = shared[: common_prefix(shared, prompt[:-1])]
        return shared


@define
class Trunks:
    """Makes trunks, remembers them, and remembers the visual features that went into them.

    Args:
        family: The model.
        executor: Runs the prefill.
        memory: Trunks by image digests.
        features: Visual features by picture digest.
        pictures: Prepared pictures of the call at hand, by image digest and whether the image is alone.
    """

    family: Family
    executor: Executor
    memory: Memory[Trunk]
    features: Memory[Features]
    pictures: dict[tuple[str, bool], Picture] = field(factory=dict, init=False)

    def prepared(self, images: Sequence[Image]) -> list[Picture]:
        """Prepare the images of one prompt, each once a call."""
        alone = len(images) == 1
        for image in images:
            if (image.digest, alone) not in self.pictures:
                self.pictures[image.digest, alone] = self.family.picture(image, alone)
        return [self.pictures[image.digest, alone] for image in images]

    def prepare(self, wanted: Sequence[Wanted], bill: Bill) -> list[Trunk]:
        """Return a trunk for each group of questions; what is missing is computed, all of it together."""
        trunks: list[Trunk | None] = []
        missing: list[tuple[int, Trunk, Sequence[int]]] = []
        for index, want in enumerate(wanted):
            shared = want.shared
            known = self._known(want, shared)
            rest = len(shared) - len(known.tokens)
            enough = rest == 0 or (known.tokens and (len(want.prompts) == 1 or rest < WORTH_EXTENDING))
            trunks.append(known if enough else None)
            if not enough:
                missing.append((index, known, shared))
        if missing:
            features = self._encode([wanted[index] for index, known, _ in missing if not known.tokens], bill)
            rows, positions = [], []
            for index, known, shared in missing:
                want = wanted[index]
                fresh = not known.tokens
                pictures = self.prepared(want.images)
                place = self.family.positions(shared, pictures) if fresh else _text_positions(known, len(shared))
                done = len(known.tokens)
                shown = [features[picture.digest] for picture in pictures] if fresh else ()
                rows.append(
                    Row(
                        owner=want.payer,
                        tokens=shared[done:],
                        starts=self.starts(shared[done:]),
                        ends=[len(shared) - done] * (len(shared) - done),
                        positions=place[:, done:],
                        past=known.pieces,
                        features=shown,
                        sights=self.family.sights(shared, shown) if fresh else known.sees * (len(shared) - done),
                    )
                )
                positions.append(place)
                bill.add(want.payer, Usage(tokens=Tokens(trunk=len(shared) - done)))
            computed = self.executor.prefill(rows, bill)
            for (index, known, shared), place, row, piece in zip(missing, positions, rows, computed, strict=True):
                trunk = Trunk(tuple(shared), place, (*known.pieces, piece), tuple(row.sights[-1:]))
                trunks[index] = trunk
                self.memory.put(wanted[index].key, trunk)
        return [trunk for trunk in trunks if trunk is not None]

    def lengthen(
        self, trunks: Sequence[Trunk], prompts: Sequence[Sequence[int]], payers: Sequence[int], bill: Bill
    ) -> list[Trunk]:
        """Prefill long stems, but for their last token, so that the tries on them need not carry them."""
        long = [i for i, prompt in enumerate(prompts) if len(prompt) - len(trunks[i].tokens) > ROW_TOKENS]
        lengthened = list(trunks)
        rows = []
        for index in long:
            trunk, tokens = trunks[index], prompts[index][len(trunks[index].tokens) : -1]
            place = _text_positions(trunk, len(prompts[index]) - 1)
            lengthened[index] = evolve(trunk, tokens=tuple(prompts[index][:-1]), positions=place)
            new = place[:, len(trunk.tokens) :]
            sights = trunk.sees * len(tokens)
            rows.append(Row(payers[index], tokens, [len(tokens)] * len(tokens), new, trunk.pieces, sights=sights))
            bill.add(payers[index], Usage(tokens=Tokens(branch=len(tokens))))
        for index, piece in zip(long, self.executor.prefill(rows, bill), strict=True):
            lengthened[index] = evolve(lengthened[index], pieces=(*lengthened[index].pieces, piece))
        return lengthened

    def _known(self, want: Wanted, shared: Sequence[int]) -> Trunk:
        """Return as much of ``shared`` as a remembered trunk covers; nothing unless that includes every image."""
        remembered = self.memory.get(want.key)
        if remembered is not None:
            known = remembered.first(common_prefix(remembered.tokens, shared))
            if sum(token == self.family.image_token for token in shared[len(known.tokens) :]) == 0:
                return known
        return Trunk((), torch.zeros(1, 0, dtype=torch.int64), ())

    def starts(self, tokens: Sequence[int]) -> Sequence[int]:
        """Return the first token that sees each token: its own, or the first of an image that sees ahead."""
        starts = list(range(len(tokens)))
        if self.family.images_see_ahead:
            image = self.family.image_token
            for index in range(1, len(tokens)):
                if tokens[index - 1] == tokens[index] == image:
                    starts[index] = starts[index - 1]
        return starts

    def _encode(self, wanted: Iterable[Wanted], bill: Bill) -> dict[str, Features]:
        """Return the features of every picture by its digest, encoding those that are not remembered."""
        payers = {picture.digest: (picture, want.payer) for want in wanted for picture in self.prepared(want.images)}
        known = {digest: self.features.get(digest) for digest in payers}
        found = {digest: features for digest, features in known.items() if features is not None}
        for batch in encoder_batches([picture for digest, (picture, _) in payers.items() if digest not in found]):
            for picture, features in zip(batch, self.family.encode(batch), strict=True):
                found[picture.digest] = features
                self.features.put(picture.digest, features)
                bill.add(payers[picture.digest][1], Usage(images_encoded=1))
        return found


def _text_positions(known: Trunk, length: int) -> torch.Tensor:
    """Continue a trunk's positions with text up to ``length`` tokens; int64 [A, length]."""
    fresh = torch.arange(length - len(known.tokens)) + known.next_position
    return torch.cat([known.positions, fresh.expand(known.positions.shape[0], -1)], dim=1)


def encoder_batches(pictures: Sequence[Picture]) -> Iterable[list[Picture]]:
    """Deal pictures out over encoder passes of bounded size."""
    batch: list[Picture] = []
    size = 0
    for picture in pictures:
        values = picture.inputs["pixel_values"].numel()
        if batch and size + values > MAX_VALUES:
            yield batch
            batch, size = [], 0
        batch.append(picture)
        size += values
    if batch:
        yield batch
