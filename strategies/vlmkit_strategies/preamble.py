"""Wrappers that have the model write about the images first, and put what it wrote before every later question."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from attrs import evolve, field, frozen
from attrs.validators import ge

from vlmkit import Ask, Capability, Classify, Generate, Prediction, Round, Solving, Strategy, Task


def reasoned(task: Classify, trigger: str) -> str:
    """Return a question over all labels of a task that ends in what triggers the reasoning."""
    return "\n".join(["Which category does the image show?", "Categories:", *task.labels.names, trigger])


def informed(task: Classify, lead: str, text: str) -> Classify:
    """Return the task with a text before the words of its questions."""
    return evolve(task, prompt=task.prompt.after(f"{lead} {text.strip()}"))


def begun(task: Classify, queries: int, prediction: Prediction) -> Prediction:
    """Return a prediction whose trace begins with a round that kept all labels; one without a trace stays as it is."""
    if not prediction.trace:
        return prediction
    names = task.labels.names
    return evolve(prediction, trace=(Round(len(names), queries, names), *prediction.trace))


@frozen
class Preamble(ABC):
    """Base of wrappers with one text before the questions of an inner strategy.

    The text costs one query an image and up to ``max_tokens`` generated tokens, and stands in the part of the prompt
    that all questions about an image share. A free question goes to the inner strategy as it is, and so does a task
    with fewer than two labels.

    Args:
        inner: Who chooses, given the text.
        max_tokens: Longest text, in tokens.
    """

    lead: ClassVar[str]
    """What stands before the text."""
    inner: Strategy
    max_tokens: int = field(default=256, validator=ge(1))

    @abstractmethod
    def request(self, task: Classify) -> str:
        """Return the words that ask for the text."""

    @property
    def requires(self) -> frozenset[Capability]:
        """What the inner strategy requires, and text."""
        return self.inner.requires | {Capability.GENERATE}

    def solve(self, task: Task) -> Solving:
        """Solve one task: the text first, then the inner strategy's questions."""
        if isinstance(task, Ask) or len(task.labels) < 2:
            return (yield from self.inner.solve(task))
        (reply,) = yield [Generate(task.images, self.request(task), max_tokens=self.max_tokens)]
        return begun(task, 1, (yield from self.inner.solve(informed(task, self.lead, reply.text))))
