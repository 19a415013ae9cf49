"""Trunks: what all questions about the same images share, computed once and kept while the budget lasts."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import cached_property, reduce

import torch
from attrs import define, evolve, frozen

from vlmkit.errors import ModelError, SpecError
from vlmkit.local.bill import Bill
from vlmkit.local.candidates import common_prefix
from vlmkit.local.memory import Memory
from vlmkit.tokentree.executor import Executor
from vlmkit.tokentree.family import Family, Features, Picture
from vlmkit.tokentree.isolation import Isolation, isolation_of
from vlmkit.tokentree.layout import KV, Sight
from vlmkit.tokentree.packing import ROW_TOKENS, Row
from vlmkit.tokentree.pictures import PIXELS, Pictures
from vlmkit.tokentree.reduction import Scene, reduced
from vlmkit.types import Image, Intervention, Reducer, Tokens, Usage

WORTH_EXTENDING = 16
"""Shared tokens past a known trunk from which on prefilling them once pays for the extra forward."""

WORTH_A_ROOT = 32
"""Tokens before the first image from which on prefilling them once for all images pays for attending to a past."""

MAX_VALUES = 2**24
"""Most pixel values of one encoder pass, so that a batch of large pictures stays bounded."""


@frozen(eq=False)
class Trunk:
    """A prefilled beginning of a prompt.

    Args:
        tokens: Token ids, placeholders expanded; visual tokens that an intervention has removed included.
        positions: int64 [A, len(tokens)].
        pieces: Keys and values of the tokens that are left, in order.
        sees: What a token that follows sees by cross-attention: one sight or, in most families, none.
        borrowed: How many of the pieces, from the first on, are those of a root.
        removed: How many of the tokens are not left.
    """

    tokens: tuple[int, ...]
    positions: torch.Tensor
    pieces: tuple[KV, ...]
    sees: tuple[Sight, ...] = ()
    borrowed: int = 0
    removed: int = 0

    @property
    def nbytes(self) -> int:
        """Size in bytes, without what is borrowed."""
        return sum(piece.nbytes for piece in self.pieces[self.borrowed :]) + sum(sight.nbytes for sight in self.sees)

    @cached_property
    def next_position(self) -> int:
        """Position of the text token that follows."""
        return int(self.positions.max()) + 1 if self.tokens else 0

    def first(self, count: int) -> Trunk:
        """Return the trunk of the first ``count`` tokens, all images included, sharing memory with this one."""
        if count == len(self.tokens):
            return self
        pieces, left = [], count - self.removed
        for piece in self.pieces:
            if left > 0:
                pieces.append(piece if len(piece) <= left else piece.first(left))
                left -= len(piece)
        return evolve(self, tokens=self.tokens[:count], positions=self.positions[:, :count], pieces=tuple(pieces))


@frozen(eq=False)
class Wanted:
    """The questions of one call that are about the same images and put to a model changed in the same way.

    Args:
        images: The images.
        interventions: What is changed inside the model.
        pictures: The images, prepared.
        opening: What all prompts begin with: token ids, placeholders expanded.
        rests: What follows it in each prompt, at least one token.
        payer: Index of the query that pays for the trunk.
    """

    images: tuple[Image, ...]
    interventions: tuple[Intervention, ...]
    pictures: Sequence[Picture]
    opening: Sequence[int]
    rests: Sequence[Sequence[int]]
    payer: int

    @property
    def key(self) -> tuple[Hashable, ...]:
        """Identifies the images and what is changed inside the model."""
        return (*(image.digest for image in self.images), *self.interventions)

    @property
    def reducers(self) -> list[Reducer]:
        """What leaves the model fewer visual tokens, in order."""
        return [one for one in self.interventions if isinstance(one, Reducer)]

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt, without those that are reduced away."""
        whole = [picture.tokens for picture in self.pictures]
        left = [reduce(lambda tokens, reducer: reducer.kept(tokens), self.reducers, tokens) for tokens in whole]
        return len(self.opening) + max(map(len, self.rests)) - sum(whole) + sum(left)

    def stems(self, trunk: Trunk) -> list[Sequence[int]]:
        """Return what follows a trunk in each prompt."""
        between = self.opening[len(trunk.tokens) :]
        return [[*between, *rest] for rest in self.rests]


@define
class Trunks:
    """Makes trunks, remembers them, and remembers the visual features that went into them.

    Args:
        family: The model.
        executor: Runs the prefill.
        memory: Trunks by ``Wanted.key``, and roots, which are trunks without images, by their tokens.
        features: Visual features by picture digest.
        pictures: Prepares images.
    """

    family: Family
    executor: Executor
    memory: Memory[Trunk]
    features: Memory[Features]
    pictures: Pictures

    def wanted(
        self,
        images: tuple[Image, ...],
        interventions: tuple[Intervention, ...],
        prompts: Sequence[Sequence[int]],
        payer: int,
    ) -> Wanted:
        """Find out what prompts about the same images share.

        Args:
            images: The images.
            interventions: What is changed inside the model.
            prompts: Token ids, one placeholder an image.
            payer: Index of the query that pays for the trunk.

        Raises:
            ModelError: The prompts part before their last image.
        """
        # The first and the last in order part no later than any two. The last token of each begins a branch.
        ordered = sorted(map(tuple, prompts))
        shared = min(common_prefix(ordered[0], ordered[-1]), min(map(len, prompts)) - 1)
        pictures = self.pictures.of(images)
        opening = self.family.expand(prompts[0][:shared], pictures)
        if opening.count(self.family.image_token) < sum(picture.tokens for picture in pictures):
            raise ModelError(
                "the model's chat template puts the words of a question before its images",
                hint="open the model with the adapter generic",
            )
        return Wanted(images, interventions, pictures, opening, [prompt[shared:] for prompt in prompts], payer)

    def prepare(self, wanted: Sequence[Wanted], bill: Bill) -> list[Trunk]:
        """Return a trunk for each group of questions; what is missing is computed, all of it together."""
        trunks = [self._known(want) for want in wanted]
        missing = [index for index, want in enumerate(wanted) if not _suffices(trunks[index], want)]
        fresh = [index for index in missing if not trunks[index].tokens]
        scenes = dict(zip(fresh, self._scenes([wanted[index] for index in fresh], bill), strict=True))
        rows = []
        for index in missing:
            want = wanted[index]
            if index in fresh:
                known, scene = self._root(want, bill), scenes[index]
                isolation = self._isolation(want)
                sights = self.family.sights(want.opening, scene.features)
            else:
                known, isolation = trunks[index], None
                scene = Scene(want.opening, _text_positions(known, len(want.opening)))
                sights = known.sees * len(want.opening)
            new = [place for place in scene.kept if place >= len(known.tokens)]
            row = self._row(want.payer, [want.opening[place] for place in new], scene.positions[:, new], known)
            rows.append(
                evolve(
                    row,
                    features=scene.features,
                    sights=[sights[place] for place in new] if sights else (),
                    isolation=isolation and isolation.only(scene.kept),
                )
            )
            bill.add(want.payer, Usage(tokens=Tokens(trunk=len(row))))
            trunks[index] = Trunk(
                tokens=tuple(want.opening),
                positions=scene.positions,
                pieces=known.pieces,
                sees=tuple(sights[-1:]),
                borrowed=len(known.pieces) if index in fresh else known.borrowed,
                removed=known.removed + len(want.opening) - len(scene.kept),
            )
        for index, piece in zip(missing, self.executor.prefill(rows, bill), strict=True):
            trunks[index] = evolve(trunks[index], pieces=(*trunks[index].pieces, piece))
            self.memory.put(wanted[index].key, trunks[index])
        return trunks

    def lengthen(
        self, trunks: Sequence[Trunk], stems: Sequence[Sequence[int]], payers: Sequence[int], bill: Bill
    ) -> list[tuple[Trunk, Sequence[int]]]:
        """Prefill long stems, but for their last token, so that the tries on them need not carry them.

        Returns:
            For every stem what is computed then, and what is left of the stem.
        """
        places = list(zip(trunks, stems, strict=True))
        long = [index for index, stem in enumerate(stems) if len(stem) > ROW_TOKENS]
        rows, positions = [], []
        for index in long:
            trunk, stem = places[index]
            place = _text_positions(trunk, len(trunk.tokens) + len(stem) - 1)
            row = self._row(payers[index], stem[:-1], place[:, len(trunk.tokens) :], trunk)
            rows.append(evolve(row, sights=trunk.sees * len(row)))
            positions.append(place)
            bill.add(payers[index], Usage(tokens=Tokens(branch=len(row))))
        for index, place, piece in zip(long, positions, self.executor.prefill(rows, bill), strict=True):
            trunk, stem = places[index]
            tokens, pieces = (*trunk.tokens, *stem[:-1]), (*trunk.pieces, piece)
            places[index] = evolve(trunk, tokens=tokens, positions=place, pieces=pieces), stem[-1:]
        return places

    def _scenes(self, wanted: Sequence[Wanted], bill: Bill) -> list[Scene]:
        """Return what the openings show, reduced where that is wanted; images are encoded once for all reducers."""
        features = self._encode(wanted, bill)
        scenes = [
            Scene(
                want.opening,
                self.family.positions(want.opening, want.pictures),
                [features[picture.digest] for picture in want.pictures],
            )
            for want in wanted
        ]
        image = self.family.image_token

        def attention(scenes: Mapping[int, Scene], layer: int) -> dict[int, torch.Tensor]:
            depth = len(self.family.layers)
            if layer > depth:
                raise SpecError(f"there is no layer {layer} to watch", hint=f"the model has {depth}")
            rows = []
            for index, scene in scenes.items():
                # No further than the last image: what comes then depends on which questions are asked together.
                last = scene.visual(image)[-1]
                places = [place for place in scene.kept if place <= last]
                tokens = [scene.tokens[place] for place in places]
                row = self._row(wanted[index].payer, tokens, scene.positions[:, places])
                isolation = self._isolation(wanted[index])
                rows.append(evolve(row, features=scene.features, isolation=isolation and isolation.only(places)))
            found = zip(scenes, rows, self.executor.watch(rows, layer, bill), strict=True)
            return {index: one[torch.tensor(row.tokens) == image] for index, row, one in found}

        return reduced(scenes, [want.reducers for want in wanted], image, attention)

    def _known(self, want: Wanted) -> Trunk:
        """Return as much of a remembered trunk as the prompts share; nothing unless that includes every image."""
        remembered = self.memory.get(want.key)
        if remembered is not None:
            known = remembered.first(common_prefix(remembered.tokens, want.opening))
            if self.family.image_token not in want.opening[len(known.tokens) :]:
                return known
        return _NOTHING

    def _root(self, want: Wanted, bill: Bill) -> Trunk:
        """Return the trunk of the text before the first image, which is the same for all images.

        It is nothing where the text is short, or where it sees the images.
        """
        length = want.opening.index(self.family.image_token) if want.images else 0
        if length < WORTH_A_ROOT or any(picture.state_bytes for picture in want.pictures):
            return _NOTHING
        tokens = tuple(want.opening[:length])
        root = self.memory.get(tokens)
        if root is None:
            place = self.family.positions(tokens, ())
            bill.add(want.payer, Usage(tokens=Tokens(trunk=length)))
            root = Trunk(tokens, place, tuple(self.executor.prefill([self._row(want.payer, tokens, place)], bill)))
            self.memory.put(tokens, root)
        return root

    def _isolation(self, want: Wanted) -> Isolation | None:
        """Return where the images of an opening do not see each other, of all its tokens."""
        return isolation_of(want.interventions, want.opening, want.pictures, self.family)

    def _row(self, owner: int, tokens: Sequence[int], positions: torch.Tensor, known: Trunk | None = None) -> Row:
        """Return a row without branches that goes on from what is known."""
        past = known.pieces if known is not None else ()
        ends = [len(tokens)] * len(tokens)
        return Row(owner, tokens, ends, positions, past, starts=self.starts(tokens))

    def starts(self, tokens: Sequence[int]) -> Sequence[int]:
        """Return the first token that sees each token: its own, or the first of an image that sees ahead."""
        starts = list(range(len(tokens)))
        if self.family.images_see_ahead:
            image = self.family.image_token
            for index in range(1, len(tokens)):
                if tokens[index - 1] == tokens[index] == image:
                    starts[index] = starts[index - 1]
        return starts

    def _encode(self, wanted: Sequence[Wanted], bill: Bill) -> dict[str, Features]:
        """Return the features of every picture by its digest, encoding those that are not remembered."""
        found: dict[str, Features] = {}
        missing: dict[str, tuple[Picture, int]] = {}
        for want in wanted:
            for image, picture in zip(want.images, want.pictures, strict=True):
                known = self.features.get(picture.digest)
                if known is not None:
                    found[picture.digest] = known
                elif picture.digest not in missing:
                    whole = self.pictures.whole(image, picture, alone=len(want.images) == 1)
                    missing[picture.digest] = whole, want.payer
        for batch in encoder_batches([picture for picture, _ in missing.values()]):
            for picture, features in zip(batch, self.family.encode(batch), strict=True):
                found[picture.digest] = features
                self.features.put(picture.digest, features)
                bill.add(missing[picture.digest][1], Usage(images_encoded=1))
        for want in wanted:
            self.pictures.encoded(want.images)
        return found


_NOTHING = Trunk((), torch.zeros(1, 0, dtype=torch.int64), ())


def _suffices(known: Trunk, want: Wanted) -> bool:
    """Whether prefilling the rest of the opening would not pay."""
    rest = len(want.opening) - len(known.tokens)
    return rest == 0 or (len(known.tokens) > 0 and (len(want.rests) == 1 or rest < WORTH_EXTENDING))


def _text_positions(known: Trunk, length: int) -> torch.Tensor:
    """Continue a trunk's positions with text up to ``length`` tokens; int64 [A, length]."""
    fresh = torch.arange(length - len(known.tokens)) + known.next_position
    return torch.cat([known.positions, fresh.expand(known.positions.shape[0], -1)], dim=1)


def encoder_batches(pictures: Sequence[Picture]) -> Iterable[list[Picture]]:
    """Batch pictures of like shape, so that none is padded to another's size."""
    alike: dict[torch.Size, list[Picture]] = {}
    for picture in pictures:
        alike.setdefault(picture.inputs[PIXELS].shape[1:], []).append(picture)
    for several in alike.values():
        batch: list[Picture] = []
        size = 0
        for picture in several:
            values = picture.inputs[PIXELS].numel()
            if batch and size + values > MAX_VALUES:
                yield batch
                batch, size = [], 0
            batch.append(picture)
            size += values
        yield batch
