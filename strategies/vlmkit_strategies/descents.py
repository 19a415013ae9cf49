"""Ways down a tree: one, several, or all of them.

The probability of a node is the product of the probabilities of the choices on the way to it, each normalised over the
siblings. Over all leaves these sum to one, however deep each lies, so leaves of different depth compare as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp

from attrs import frozen

from vlmkit import Classify, Prediction, Ranking, Round, Solving, Strategy, together
from vlmkit_strategies.branches import Branch, among_children, joined, shares


@frozen
class Way:
    """How far a descent has come.

    Args:
        branch: Where it is.
        log_prob: Log-probability of getting there, in nats.
    """

    branch: Branch
    log_prob: float

    def on(self, prediction: Prediction, stop_below: float) -> tuple[Way, ...]:
        """Return the ways on to the children; none where the answer is refused, or the best child too unlikely."""
        log_probs = shares(prediction.ranking)
        if prediction.label is None or not log_probs or exp(max(log_probs.values())) < stop_below:
            return ()
        return tuple(
            Way(child, self.log_prob + log_probs[child.name])
            for child in self.branch.children
            if child.name in log_probs
        )


def search(task: Classify, inner: Strategy, *, width: int, stop_below: float) -> Solving:
    """Go down from the root level by level along the most probable ways, at most ``width`` of them at a time.

    A way that reaches a leaf, or stops, is put aside and leaves its place to another.
    """
    ways = [Way(Branch.root(task), 0.0)]
    ended: list[Way] = []
    found: dict[str, float] = {}
    trace: tuple[Round, ...] = ()
    while ways:
        predictions = yield from together([among_children(task, way.branch, inner) for way in ways])
        grown = [way.on(prediction, stop_below) for way, prediction in zip(ways, predictions, strict=True)]
        ended += [way for way, further in zip(ways, grown, strict=True) if not further]
        best = _best([way for further in grown for way in further])[:width]
        # The siblings of a leaf that is reached are ranked too: they are known, and none of them can come first.
        reached = [way for way in best if way.branch.is_leaf]
        parents = {way.branch.path[:-1] for way in reached}
        for way, further in zip(ways, grown, strict=True):
            if way.branch.path in parents:
                found |= _leaves(further)
        ended += reached
        before, ways = ways, [way for way in best if not way.branch.is_leaf]
        possible = [label for way in (*ended, *ways) for label in way.branch.labels]
        trace += joined(predictions, sum(len(way.branch.leaves) for way in before), possible)
    return _concluded(task, ended, found, trace)


def product(task: Classify, inner: Strategy, *, stop_below: float) -> Solving:
    """Ask about the children of every node in one round and multiply along all ways down."""
    root = Branch.root(task)
    forks = [root, *(branch for level in root.levels() for branch in level.values() if not branch.is_leaf)]
    predictions = yield from together([among_children(task, branch, inner) for branch in forks])
    answers = {branch.path: prediction for branch, prediction in zip(forks, predictions, strict=True)}
    ended: list[Way] = []
    ways = [Way(root, 0.0)]
    while ways:
        way = ways.pop()
        further = () if way.branch.is_leaf else way.on(answers[way.branch.path], stop_below)
        ways.extend(reversed(further))
        if not further:
            ended.append(way)
    best = _best(ended)[0].branch
    return _concluded(task, ended, _leaves(ended), joined(predictions, len(root.leaves), best.labels))


def _best(ways: Iterable[Way]) -> list[Way]:
    return sorted(ways, key=lambda way: -way.log_prob)


def _leaves(ways: Iterable[Way]) -> dict[str, float]:
    return {way.branch.leaves[way.branch.path].name: way.log_prob for way in ways if way.branch.is_leaf}


def _concluded(task: Classify, ended: Sequence[Way], found: dict[str, float], trace: tuple[Round, ...]) -> Prediction:
    """Answer with the most probable node at which a way ended; the root is no answer."""
    assert task.taxonomy is not None
    path = _best(ended)[0].branch.path
    return Prediction(
        label=task.taxonomy.label_of(path) if path else None,
        ranking=Ranking.of(found.items()),
        trace=trace,
        path=path,
    )
