"""Several solvings as one, for strategies that run others."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from vlmkit.contracts import Solving
from vlmkit.types import Answer, Prediction, Query


def together(solvings: Sequence[Solving]) -> Generator[Sequence[Query], Sequence[Answer], tuple[Prediction, ...]]:
    """Run several solvings side by side: their pending queries go out in one round.

    Use it inside a strategy: ``predictions = yield from together([inner.solve(task) for task in tasks])``.

    Returns:
        Their predictions, in order.
    """
    predictions: list[Prediction | None] = [None] * len(solvings)
    answers: dict[int, Sequence[Answer] | None] = dict.fromkeys(range(len(solvings)))
    while answers:
        pending: dict[int, Sequence[Query]] = {}
        for index, received in answers.items():
            try:
                pending[index] = solvings[index].send(received)  # type: ignore[arg-type]  # None starts a generator
            except StopIteration as stop:
                predictions[index] = stop.value
        flat = (yield [query for queries in pending.values() for query in queries]) if pending else ()
        answers, position = {}, 0
        for index, queries in pending.items():
            answers[index] = flat[position : position + len(queries)]
            position += len(queries)
    return tuple(prediction for prediction in predictions if prediction is not None)
