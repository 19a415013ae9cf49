"""Strategies measured on a model: how often they are right, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from attrs import frozen

from vlmkit import Backend, Engine, Example, LabelSpace, Prompt, Remembers, Strategy, Usage
from vlmkit.measures import wilson
from vlmkit_strategies.choice import Measured
from vlmkit_strategies.narrowed import Narrowed

Unit = Literal["tokens", "forwards", "queries"]
"""What costs are counted in."""


@frozen
class Gauge:
    """Measures one strategy after the other on the same examples.

    Args:
        backend: The model.
        examples: The examples, at least one, all with a target among the labels.
        labels: What may be answered.
        seed: Seed of every random choice.
        prompt: The words of the questions.
        in_flight: Most examples worked on at once.
        unit: What costs are counted in.
    """

    backend: Backend
    examples: Sequence[Example]
    labels: LabelSpace
    seed: int
    prompt: Prompt
    in_flight: int
    unit: Unit

    def measure(self, name: str, strategy: Strategy, most: int) -> Measured:
        """Solve all examples over at most so many labels each.

        Each measurement pays for its images: what the backend kept of them from the one before is dropped.

        Args:
            name: The strategy's spec.
            strategy: The strategy.
            most: Most labels of an example.
        """
        if isinstance(self.backend, Remembers):
            self.backend.forget()
        targets = {example.id: example.target for example in self.examples if example.target is not None}
        engine = Engine(Narrowed(strategy, most, targets), self.backend, in_flight=self.in_flight)
        right, usage, errors = 0, Usage(), []
        for solved in engine.solve(self.examples, self.labels, seed=self.seed, prompt=self.prompt):
            usage += solved.usage
            if solved.prediction is None:
                errors.append(str(solved.error))
            else:
                right += solved.prediction.label == solved.example.target
        accuracy = wilson(right, len(self.examples))
        assert accuracy is not None
        cost = self._counted(usage) / len(self.examples)
        return Measured(name, most, accuracy, cost, len(errors), errors[0] if errors else None)

    def _counted(self, usage: Usage) -> float:
        match self.unit:
            case "tokens":
                return usage.tokens.total
            case "forwards":
                return usage.forwards
            case "queries":
                return usage.queries
