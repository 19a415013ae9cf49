"""Fewer visual tokens: from what a reducer says of each image to a shorter prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

import torch
from attrs import evolve, field, frozen

from vlmkit.errors import ModelError
from vlmkit.tokentree.family import Features
from vlmkit.types.reducer import Reducer
from vlmkit.types.tuples import as_tuple


@frozen(eq=False)
class Visual:
    """The visual tokens of one image, as a reducer sees them.

    Args:
        tokens: What leaves the projector, [tokens, hidden].
        attention: How much attention each gets, on average, from the other tokens that see it, as a multiple of an
            even share; float32 [tokens]. None where the reducer does not watch a layer.
    """

    tokens: torch.Tensor
    attention: torch.Tensor | None = None


@frozen(eq=False)
class Scene:
    """The beginning of a prompt with its images, of which some tokens may be gone.

    Args:
        tokens: Token ids, those that are gone included.
        positions: int64 [A, len(tokens)], of tokens that are gone too; what comes later follows the highest.
        features: What is left of each image.
        kept: Index of every token that is left, ascending.
    """

    tokens: Sequence[int]
    positions: torch.Tensor
    features: tuple[Features, ...] = field(default=(), converter=as_tuple)
    kept: Sequence[int] = field()

    @kept.default
    def _all(self) -> Sequence[int]:
        return range(len(self.tokens))

    def visual(self, image_token: int) -> list[int]:
        """Return the index of every visual token that is left."""
        return [index for index in self.kept if self.tokens[index] == image_token]


Watch = Callable[[Mapping[int, Scene], int], Mapping[int, torch.Tensor]]
"""Finds out how much attention every visual token of each scene gets in a layer, float32 [visual tokens]."""


def reduced(
    scenes: Sequence[Scene], reducers: Sequence[Sequence[Reducer]], image_token: int, watch: Watch
) -> list[Scene]:
    """Apply to each scene its own reducers, one after the other.

    Args:
        scenes: The scenes.
        reducers: Those of each scene.
        image_token: Id of the placeholder of visual tokens.
        watch: Asked of all scenes together whose next reducer watches the same layer.

    Raises:
        ModelError: A reducer reads attention to visual tokens, and the model's sequence holds none.
    """
    done = list(scenes)
    for turn in range(max(map(len, reducers), default=0)):
        now = {index: mine[turn] for index, mine in enumerate(reducers) if turn < len(mine)}
        attention: dict[int, torch.Tensor] = {}
        for layer in {reducer.watches for reducer in now.values()} - {0}:
            watching = {index: done[index] for index, reducer in now.items() if reducer.watches == layer}
            attention |= watch({index: scene for index, scene in watching.items() if _shows_tokens(scene)}, layer)
        for index, reducer in now.items():
            done[index] = _reduced(done[index], reducer, image_token, attention.get(index))
    return done


def _shows_tokens(scene: Scene) -> bool:
    """Whether there are visual tokens that attention can go to."""
    if any(features.states for features in scene.features):
        raise ModelError(
            "attention to visual tokens cannot be read off this model, which sees them by cross-attention",
            hint="reduce them by another strategy",
        )
    return bool(scene.features)


@torch.inference_mode()
def _reduced(scene: Scene, reducer: Reducer, image_token: int, attention: torch.Tensor | None) -> Scene:
    sizes = [len(features.embeds) for features in scene.features]
    shares = torch.split(attention, sizes) if attention is not None else [None] * len(sizes)
    visual = scene.visual(image_token)
    gone: set[int] = set()
    features = []
    for one, share, stop in zip(scene.features, shares, accumulate(sizes), strict=True):
        merging = _Merging.of(reducer, Visual(one.embeds, share))
        places = visual[stop - len(one.embeds) : stop]
        gone.update(set(places) - {places[index] for index in merging.firsts})
        features.append(
            Features(
                merging(one.embeds),
                tuple(map(merging, one.deep)),
                tuple(_Merging.of(reducer, Visual(states))(states) for states in one.states),
            )
        )
    kept = [index for index in scene.kept if index not in gone]
    if not gone:
        return evolve(scene, features=features)
    positions = scene.positions
    if reducer.positions == "repack":
        positions = _repacked(positions, kept, visual[0])
    return evolve(scene, features=features, positions=positions, kept=kept)


@frozen(eq=False)
class _Merging:
    """How the tokens of one image become fewer.

    Args:
        firsts: Index of the first token of every group, ascending.
        order: Index of every token that goes into a group, group by group, int64; None where all stay as they are.
        lengths: Tokens of every group, int64.
    """

    firsts: Sequence[int]
    order: torch.Tensor | None = None
    lengths: torch.Tensor | None = None

    @classmethod
    def of(cls, reducer: Reducer, visual: Visual) -> _Merging:
        count = len(visual.tokens)
        if not count:  # what is seen by cross-attention is no part of the sequence
            return cls(())
        if visual.tokens.is_meta:  # a plan knows how many are left, not which
            groups = torch.arange(count)
            groups[reducer.kept(count) :] = -1
        else:
            groups = reducer.groups(visual).cpu()
        places = (groups >= 0).nonzero()[:, 0]
        labels, group = torch.unique(groups[places], return_inverse=True)
        if len(labels) == count:
            return cls(range(count))
        firsts, ranks = places.new_full((len(labels),), count).scatter_reduce_(0, group, places, "amin").sort()
        group = ranks.argsort()[group]
        device = visual.tokens.device
        return cls(firsts.tolist(), places[group.argsort(stable=True)].to(device), group.bincount().to(device))

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the means of the groups, [groups, hidden], of [tokens, hidden]."""
        if self.order is None:
            return tokens
        if tokens.is_meta:
            return tokens[: len(self.firsts)]
        # Unlike sums by index, the same in every run on CUDA.
        means = torch.segment_reduce(tokens[self.order].float(), "mean", lengths=self.lengths, axis=0)
        return means.to(tokens.dtype)


def _repacked(positions: torch.Tensor, kept: Sequence[int], first: int) -> torch.Tensor:
    """Let the kept tokens from ``first`` on count on from its position, on all axes alike."""
    counts = torch.zeros(positions.shape[1], dtype=torch.int64)
    counts[[index for index in kept if index >= first]] = 1
    fresh = positions.max(0).values[first] - 1 + counts[first:].cumsum(0)
    return torch.cat([positions[:, :first], fresh.expand(len(positions), -1)], dim=1)
