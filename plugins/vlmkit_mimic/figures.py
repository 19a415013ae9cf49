"""From scores to figures: for each task, and for each value of each factor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

import numpy as np
from attrs import frozen

from vlmkit.measures import Interval, Sums, bootstrap, wilson
from vlmkit_mimic.benchmark import Item
from vlmkit_mimic.cells import TASKS
from vlmkit_mimic.scorers import Score

FACTORS = ("images", "spread", "distractors", "classes", "total", "wording", "cell")
"""What figures can be sorted by; the first five are, unless one says otherwise."""

Scored = Sequence[tuple[Item, Score]]
"""Items with the scores of their replies."""

_RIGHT, _HITS, _NAMED, _WANTED, _F1, _ONE = range(6)


@frozen
class Figures:
    """The figures of some items of one task, at least one.

    Args:
        n: Items.
        accuracy: Share of right answers, with its Wilson interval.
        f1_micro: F1 of all names pooled, with its bootstrap interval; for Listing alone.
        f1_macro: Mean F1 of the items, with its bootstrap interval; for Listing alone.
        constant: Accuracy of always giving the one answer that is right most often in the task.
    """

    n: int
    accuracy: Interval | None
    f1_micro: Interval | None
    f1_macro: Interval | None
    constant: float

    @classmethod
    def of(cls, scored: Scored, constant: Set[str]) -> Figures:
        """Return the figures of scored items of one task, and of always giving the names or numbers of ``constant``."""
        n, values = len(scored), _values(scored)
        named = any(item.task == "listing" for item, _ in scored)
        return cls(
            n=n,
            accuracy=wilson(sum(score.right for _, score in scored), n),
            f1_micro=bootstrap([values], _pooled_f1) if named else None,
            f1_macro=bootstrap([values], _mean_f1) if named else None,
            constant=sum(_answer(item) == constant for item, _ in scored) / n,
        )

    @property
    def main(self) -> Interval | None:
        """What the paper reports: pooled F1 for Listing, else accuracy."""
        return self.f1_micro or self.accuracy


@frozen
class Overall:
    """The figures of all tasks together.

    Args:
        n: Items.
        accuracy_micro: Share of right answers over all items, with its Wilson interval.
        accuracy_macro: Mean of the tasks' accuracies, with its bootstrap interval.
        mean: Mean of the tasks' main figures, as the paper has it, with its bootstrap interval.
    """

    n: int
    accuracy_micro: Interval | None
    accuracy_macro: Interval | None
    mean: Interval | None

    @classmethod
    def of(cls, scored: Scored) -> Overall:
        """Return the figures of scored items of any tasks."""
        by_task = _by_task(scored)
        strata = [_values(of_task) for of_task in by_task.values()]
        mains = [_pooled_f1 if task == "listing" else _accuracy for task in by_task]
        n = len(scored)
        return cls(
            n=n,
            accuracy_micro=wilson(sum(score.right for _, score in scored), n),
            accuracy_macro=bootstrap(strata, lambda sums: _mean([_accuracy([one]) for one in sums])),
            mean=bootstrap(strata, lambda sums: _mean([main([one]) for main, one in zip(mains, sums, strict=True)])),
        )


@frozen
class Report:
    """All figures of one run by one scorer.

    Args:
        overall: Those of all tasks together.
        tasks: Those of each task.
        factors: Those of each value of each factor, by factor, task and value; only where a task has several values.
    """

    overall: Overall
    tasks: Mapping[str, Figures]
    factors: Mapping[str, Mapping[str, Mapping[str, Figures]]]

    @classmethod
    def of(cls, scored: Scored, factors: Iterable[str]) -> Report:
        """Return the report over scored items.

        Args:
            scored: The items.
            factors: Which of ``FACTORS`` to sort by.
        """
        by_task = _by_task(scored)
        return cls(
            overall=Overall.of(scored),
            tasks={task: Figures.of(of_task, _constant(of_task)) for task, of_task in by_task.items()},
            factors={factor: dict(_by_factor(by_task, factor)) for factor in factors},
        )


def _by_factor(by_task: Mapping[str, Scored], factor: str) -> Iterator[tuple[str, Mapping[str, Figures]]]:
    for task, scored in by_task.items():
        levels: dict[int | str, list[tuple[Item, Score]]] = {}
        for item, score in scored:
            levels.setdefault(_level(item, factor), []).append((item, score))
        if len(levels) > 1:
            order = sorted(levels, key=_natural)
            yield task, {_shown(factor, level): Figures.of(levels[level], _constant(scored)) for level in order}


def _level(item: Item, factor: str) -> int | str:
    return item.cell.removeprefix(f"{item.task}-") if factor == "cell" else item.factors.get(factor, -1)


def _natural(level: int | str) -> tuple[int, str]:
    return (0, level) if isinstance(level, str) else (level, "")


def _shown(factor: str, value: int | str) -> str:
    return "any" if factor == "total" and value == 0 else str(value)


def _answer(item: Item) -> Set[str]:
    return frozenset(item.gt.split(", "))


def _constant(scored: Scored) -> Set[str]:
    """Return the answer that is right most often."""
    [(answer, _)] = Counter(_answer(item) for item, _ in scored).most_common(1)
    return answer


def _by_task(scored: Scored) -> Mapping[str, Scored]:
    tasks = {task: [pair for pair in scored if pair[0].task == task] for task in TASKS}
    return {task: of_task for task, of_task in tasks.items() if of_task}


def _values(scored: Scored) -> Sums:
    rows = [(score.right, score.hits, score.named, score.wanted, score.f1, 1) for _, score in scored]
    return np.array(rows, dtype=float).reshape(-1, 6)


def _accuracy(sums: Sequence[Sums]) -> Sums:
    (one,) = sums
    return one[..., _RIGHT] / one[..., _ONE]


def _pooled_f1(sums: Sequence[Sums]) -> Sums:
    (one,) = sums
    return 2 * one[..., _HITS] / (one[..., _NAMED] + one[..., _WANTED])


def _mean_f1(sums: Sequence[Sums]) -> Sums:
    (one,) = sums
    return one[..., _F1] / one[..., _ONE]


def _mean(figures: Sequence[Sums]) -> Sums:
    return np.asarray(np.mean(figures, axis=0))
