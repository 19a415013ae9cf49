"""Answers about every level of a taxonomy that do not come from a descent."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from vlmkit import Classify, Prediction, Solving, Strategy, together
from vlmkit.types.taxonomy import Path, distinct_labels
from vlmkit_strategies.branches import Branch, among, among_children, joined


def bottom_up(task: Classify, inner: Strategy) -> Solving:
    """Let the inner strategy answer the leaf, and read everything above it off the tree."""
    leaves = {label.name: path for path, label in Branch.root(task).leaves.items()}
    prediction: Prediction = yield from inner.solve(task)
    return evolve(prediction, path=leaves.get(prediction.label or "", ()))


def leaf_conditioned(task: Classify, inner: Strategy) -> Solving:
    """Let the inner strategy answer the leaf; then ask about every level above it, given that leaf.

    The options of a level are the leaf's ancestor there and its siblings. What comes back is recorded as it is.

    Source: arXiv 2601.14610, second stage, where the model is trained for it.
    """
    prediction: Prediction = yield from bottom_up(task, inner)
    if not prediction.path:
        return prediction
    given = evolve(task, prompt=task.prompt.after(f"The image shows {prediction.label}."))
    branch, forks = Branch.root(task), []
    for name in prediction.path[:-1]:
        forks.append(branch)
        branch = next(child for child in branch.children if child.name == name)
    answers = yield from together([among_children(given, fork, inner) for fork in forks])
    offered = [{child.name: child for child in fork.children} for fork in forks]
    return evolve(
        prediction,
        path=(*map(_name, answers, offered), prediction.path[-1]),
        trace=(*prediction.trace, *joined(answers, 1, _answered(prediction))),
    )


def flat_by_level(task: Classify, inner: Strategy) -> Solving:
    """Ask about each level by itself, over all its nodes, and about all leaves; all in one round.

    Where all leaves are equally deep, the question about them is that about the last level. Elsewhere a level holds
    the leaves of its depth beside the inner nodes, and the path has an answer for every level of the tree.

    Source: arXiv 2505.24840, which asks with four options a level.
    """
    root = Branch.root(task)
    levels = list(root.levels())
    even = levels[-1].keys() == root.leaves.keys()
    offered = [_named(level) for level in (levels[:-1] if even else levels)]
    leaf, *answers = yield from together(
        [
            bottom_up(task, inner),
            *(
                among(task, [evolve(node.option, name=name) for name, node in nodes.items()], inner)
                for nodes in offered
            ),
        ]
    )
    path = list(map(_name, answers, offered))
    if even:
        path.append(leaf.path[-1] if leaf.path else "")
    return evolve(leaf, path=path, trace=joined([leaf, *answers], len(root.leaves), _answered(leaf)))


def _named(level: Mapping[Path, Branch]) -> dict[str, Branch]:
    """Return the nodes of a level by names that tell them apart."""
    names = distinct_labels(tuple(level))
    return {names[path]: branch for path, branch in level.items()}


def _name(answer: Prediction, nodes: Mapping[str, Branch]) -> str:
    """Return the name of the node that was answered, or an empty one where the reply was none of them."""
    node = nodes.get(answer.label or "")
    return "" if node is None else node.name


def _answered(prediction: Prediction) -> tuple[str, ...]:
    return () if prediction.label is None else (prediction.label,)
