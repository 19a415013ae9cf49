"""A task's labels as a tree, and the choice among the children of one node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
from attrs import evolve, field, frozen

from vlmkit import Classify, Label, Prediction, Ranking, Round, Solving, Strategy
from vlmkit.errors import TaxonomyError
from vlmkit.types.taxonomy import ROOT, Path


@frozen
class Branch:
    """A node of a taxonomy, cut back to the labels of a task.

    Args:
        path: The node.
        leaves: The task's labels below it, by leaf, in the task's order.
    """

    path: Path
    leaves: Mapping[Path, Label] = field(repr=False)

    @classmethod
    def root(cls, task: Classify) -> Branch:
        """Return the root of the tree over a task's labels.

        Raises:
            TaxonomyError: The task has no taxonomy, or a label is no leaf of it.
        """
        if task.taxonomy is None:
            raise TaxonomyError(
                "strategy tree needs a taxonomy", hint="give --taxonomy FILE, or taxonomy=... in Python"
            )
        return cls(ROOT, dict(zip(task.taxonomy.leaves_of(task.labels), task.labels, strict=True)))

    @cached_property
    def children(self) -> tuple[Branch, ...]:
        """The nodes right below, in the order of their first leaves."""
        below: dict[Path, dict[Path, Label]] = {}
        depth = len(self.path) + 1
        for leaf, label in self.leaves.items():
            if len(leaf) >= depth:
                below.setdefault(leaf[:depth], {})[leaf] = label
        return tuple(Branch(path, leaves) for path, leaves in below.items())

    @property
    def name(self) -> str:
        """The node's name, which no sibling has."""
        return self.path[-1]

    @property
    def is_leaf(self) -> bool:
        """Whether it is one of the task's labels."""
        return self.path in self.leaves

    @property
    def option(self) -> Label:
        """What a question among siblings shows: the name, for a leaf with what else its label says."""
        return evolve(self.leaves[self.path], name=self.name) if self.is_leaf else Label(self.name)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the task's labels below it."""
        return tuple(label.name for label in self.leaves.values())

    def levels(self) -> Iterator[dict[Path, Branch]]:
        """Iterate over the levels below it, from the top down; leaves stand in the level of their depth."""
        level = self.children
        while level:
            yield {branch.path: branch for branch in level}
            level = tuple(child for branch in level for child in branch.children)


def among(task: Classify, options: Iterable[Label], inner: Strategy) -> Solving:
    """Ask an inner strategy which of some nodes a task's images show; one node alone is taken unasked."""
    labels = tuple(options)
    if len(labels) == 1:
        return Prediction(labels[0].name, Ranking(((labels[0].name, 0.0),)))
    return (yield from inner.solve(evolve(task.over(labels), taxonomy=None)))


def among_children(task: Classify, branch: Branch, inner: Strategy) -> Solving:
    """Ask an inner strategy which child of a node a task's images show."""
    return among(task, (child.option for child in branch.children), inner)


def shares(ranking: Ranking) -> dict[str, float]:
    """Return the log-probability of each name in nats, normalised over the names that are ranked."""
    scores = np.array([score for _, score in ranking], dtype=np.float64)
    if np.isneginf(scores).all():
        scores = np.zeros_like(scores)
    return dict(zip(ranking.labels, (scores - np.logaddexp.reduce(scores)).tolist(), strict=True))


def joined(predictions: Sequence[Prediction], candidates: int, survivors: Iterable[str]) -> tuple[Round, ...]:
    """Return the rounds behind some predictions as one that lets ``survivors`` through; none where none was asked."""
    rounds = [played for prediction in predictions for played in prediction.trace]
    if not rounds:
        return ()
    return (
        Round(
            candidates=candidates,
            queries=sum(played.queries for played in rounds),
            survivors=survivors,
            none=sum(played.none for played in rounds),
            invalid=sum(played.invalid for played in rounds),
        ),
    )
