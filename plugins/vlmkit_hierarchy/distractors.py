"""Which wrong options stand beside the right one: nodes of its level, chosen by one of four rules."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Protocol

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from vlmkit_hierarchy.levels import LevelNames, Path

Scores = NDArray[np.floating]
"""Similarity of every node to one thing, [nodes]: level by level, each level in the order of ``LevelNames``."""


class Distractors(Protocol):
    """Chooses wrong options."""

    def __call__(self, node: Path, count: int, scores: Scores | None) -> Sequence[int]:
        """Return so many other nodes of a node's level, as places in that level.

        Args:
            node: The right one.
            count: How many; at most those that there are.
            scores: How alike the image and the nodes are, where that is known.
        """
        ...


@frozen(slots=False)
class Places:
    """Where nodes stand in their levels.

    Args:
        names: The levels.
    """

    names: LevelNames

    @cached_property
    def of(self) -> Mapping[Path, int]:
        """Each node's place in its level."""
        return {node: place for level in self.names.levels for place, node in enumerate(level)}

    @cached_property
    def starts(self) -> Sequence[int]:
        """Where each level starts when all levels stand one after the other; the end of the last comes last."""
        return list(accumulate(map(len, self.names.levels), initial=0))

    @cached_property
    def below(self) -> Mapping[tuple[Path, int], tuple[int, int]]:
        """For each node and each level below it, the first place that it covers there and the one after the last.

        Levels are in depth-first order, so what lies below a node stands together.
        """
        found: dict[tuple[Path, int], tuple[int, int]] = {}
        for depth, level in enumerate(self.names.levels, start=1):
            for place, node in enumerate(level):
                for above in range(depth + 1):
                    first, _ = found.get((node[:above], depth), (place, place))
                    found[node[:above], depth] = (first, place + 1)
        return found


@frozen
class _ByChance:
    """What is drawn.

    Args:
        places: The levels.
        rng: Where chance comes from.
    """

    places: Places
    rng: random.Random


@frozen
class AtRandom(_ByChance):
    """Any nodes of the level, with equal chances."""

    def __call__(self, node: Path, count: int, scores: Scores | None) -> Sequence[int]:
        """Return so many places."""
        right = self.places.of[node]
        others = self.rng.sample(range(len(self.places.names.levels[len(node) - 1]) - 1), count)
        return [other + (other >= right) for other in others]


@frozen
class Sibling(_ByChance):
    """Siblings; where there are too few, all of them and then the nearest kin: cousins, second cousins and so on.

    Of those that are equally near, any with equal chances.
    """

    def __call__(self, node: Path, count: int, scores: Scores | None) -> Sequence[int]:
        """Return so many places."""
        depth = len(node)
        chosen: list[int] = []
        first, end = self.places.below[node, depth]
        for above in range(depth - 1, -1, -1):
            further_first, further_end = self.places.below[node[:above], depth]
            kin = [*range(further_first, first), *range(end, further_end)]
            chosen += self.rng.sample(kin, min(len(kin), count - len(chosen)))
            if len(chosen) == count:
                break
            first, end = further_first, further_end
        return chosen


@frozen
class ImageSimilar:
    """The nodes most like the image.

    Args:
        places: The levels.

    Source: arXiv 2603.00431 (TARA), which tells how arXiv 2505.24840 does it, with cosine similarities of SigLIP.
    """

    places: Places

    def __call__(self, node: Path, count: int, scores: Scores | None) -> Sequence[int]:
        """Return so many places, the most alike first; of equals the first in the level."""
        assert scores is not None
        return _most_alike(self.places, node, count, scores)


@frozen
class TextSimilar:
    """The nodes whose names are most like the right one's, for every image the same.

    Args:
        places: The levels.
        between: From a node, by its place in the order of ``Scores``, to its similarities with all nodes.
    """

    places: Places
    between: Callable[[int], Scores] = field(repr=False)
    _known: dict[Path, Sequence[int]] = field(factory=dict, init=False, repr=False)

    def __call__(self, node: Path, count: int, scores: Scores | None) -> Sequence[int]:
        """Return so many places, the most alike first; of equals the first in the level."""
        if node not in self._known:
            row = self.between(self.places.starts[len(node) - 1] + self.places.of[node])
            self._known[node] = _most_alike(self.places, node, count, row)
        return self._known[node]


def _most_alike(places: Places, node: Path, count: int, scores: Scores) -> Sequence[int]:
    start, end = places.starts[len(node) - 1 : len(node) + 1]
    level = -np.asarray(scores[start:end], dtype=np.float64)
    level[places.of[node]] = np.inf
    # Not a full sort: a level may have thousands of nodes, and a bank a million questions.
    bound = np.partition(level, count - 1)[count - 1]
    near = np.flatnonzero(level <= bound)
    chosen: list[int] = near[np.argsort(level[near], kind="stable")][:count].tolist()
    return chosen
