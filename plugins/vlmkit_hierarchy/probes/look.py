"""Features from any backend that has them: a strategy that asks for them, and the run that keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from vlmkit import (
    Ask,
    Backend,
    Capability,
    Encode,
    Encoding,
    Engine,
    Example,
    LabelSpace,
    Prediction,
    Solving,
    Task,
)
from vlmkit.engine import Solved
from vlmkit.runs import Record, RunDirectory
from vlmkit.types.query import Over, Pool
from vlmkit.types.tuples import as_tuple
from vlmkit_hierarchy.probes.store import Store, Subject

FOLDER = "features"
"""Where the features lie in a run directory."""

TOGETHER = 64
"""Examples whose features are written at once."""


@frozen
class Look:
    """Asks for features and predicts nothing.

    Args:
        at: The sites, as ``Encode`` has them.
        pool: How tokens become one vector.
        over: Which tokens.
    """

    at: tuple[str, ...] = field(converter=as_tuple)
    pool: Pool = "mean"
    over: Over = "image"

    @property
    def requires(self) -> frozenset[Capability]:
        """Features."""
        return frozenset({Encode.requires})

    def solve(self, task: Task) -> Solving:
        """Ask once."""
        text = task.question if isinstance(task, Ask) else ""
        yield [Encode(task.images, text, at=self.at, pool=self.pool, over=self.over)]
        return Prediction(None)


def look(
    strategy: Look,
    backend: Backend,
    examples: Iterable[Example],
    labels: LabelSpace,
    files: RunDirectory,
    *,
    in_flight: int,
    advance: Callable[[Record], None],
) -> None:
    """Take the features of the examples that the run directory does not have yet, and keep them there.

    An example that fails is a record with its error; the next run tries it again. What is done is kept whatever ends
    the run.

    Raises:
        UserError: The request as a whole is wrong: the backend has no features, or no such layer.
    """
    engine = Engine(strategy, backend, in_flight=in_flight, keep_exchanges=True)
    store = Store(files.path / FOLDER)
    waiting: list[Solved] = []
    try:
        # Nothing is predicted, so nothing is judged.
        remaining = (evolve(example, target=None) for example in examples if example.id not in files.done)
        for solved in engine.solve(remaining, labels):
            waiting.append(solved)
            if len(waiting) == TOGETHER:
                batch, waiting = waiting, []  # first: what interrupts the keeping must not begin it again
                _keep(batch, store, files, advance)
    finally:
        _keep(waiting, store, files, advance)


def _keep(batch: Sequence[Solved], store: Store, files: RunDirectory, advance: Callable[[Record], None]) -> None:
    """Write features first: an example that has a record has features."""
    subjects = []
    features: dict[str, list[NDArray[np.float32]]] = {}
    for solved in batch:
        if solved.error is None:
            (exchange,) = solved.exchanges
            query, answer = exchange.query, exchange.answer
            assert isinstance(answer, Encoding)
            content = " ".join([query.text, *(image.digest for image in query.images)])
            subjects.append(Subject(solved.example.id, content))
            for site, vector in answer.features.items():
                features.setdefault(site, []).append(vector)
    if subjects:
        store.add(subjects, features)
    for solved in batch:
        record = Record.of(solved)
        files.append(record, [])
        advance(record)
