"""Strategies that ask what another one asks, of a model that is changed inside."""

from __future__ import annotations

from abc import ABC, abstractmethod

from attrs import evolve, frozen

from vlmkit.contracts import Solving, Strategy
from vlmkit.errors import StrategyError
from vlmkit.types import Capability, Encode, Intervention, Prediction, Query, Task


@frozen
class Intervened(ABC):
    """Base of wrappers that add an intervention to every query of an inner strategy.

    A subclass is an attrs class; its own fields are its options.

    Args:
        inner: The strategy whose queries they are.
    """

    inner: Strategy

    @property
    @abstractmethod
    def intervention(self) -> Intervention:
        """What is changed inside the model."""

    @property
    def requires(self) -> frozenset[Capability]:
        """What the inner strategy and the intervention require."""
        return self.inner.requires | {self.intervention.requires}

    def solve(self, task: Task) -> Solving:
        """Solve a task as the inner strategy does.

        Raises:
            StrategyError: It asks for features, which only the unchanged model gives.
        """
        solving = self.inner.solve(task)
        answers = None
        while True:
            try:
                queries = next(solving) if answers is None else solving.send(answers)
            except StopIteration as stop:
                prediction: Prediction = stop.value
                return prediction
            answers = yield [self._changed(query) for query in queries]

    def _changed(self, query: Query) -> Query:
        if isinstance(query, Encode):
            raise StrategyError("features come from the unchanged model", hint="ask for them without interventions")
        return evolve(query, interventions=(*query.interventions, self.intervention))
