"""The plain ways to answer a strategy's questions, through transformers alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from attrs import evolve, frozen

from vlmkit.testing.plain import Plain
from vlmkit.types import Choose, Likelihood, Reply

T = TypeVar("T")


@frozen
class Plainly:
    """Answers questions about groups of labels as published, from the words of the question on each time.

    Args:
        plain: The model.
        batch: Questions that are padded to one length and go through ``generate`` together.
        sample: Most questions of a block that are timed, evenly spaced in it; their time is scaled up to all.
        max_tokens: Longest reply, its end included.
        min_tokens: Shortest reply: random weights know no end.
    """

    plain: Plain
    batch: int
    sample: int
    max_tokens: int
    min_tokens: int = 0

    @property
    def sides(self) -> Mapping[str, Callable[[Sequence[Choose]], float]]:
        """What returns the seconds that a block's questions take, by the name of the way."""
        return {"generate": self.generate, "generate_batched": self.generate_batched, "label_loop": self.label_loop}

    def generate(self, questions: Sequence[Choose]) -> float:
        """Let ``generate`` write the name, one question after the other."""
        return self._seconds(questions, 1, self._reply)

    def generate_batched(self, questions: Sequence[Choose]) -> float:
        """Let ``generate`` write the names, several questions at once."""
        return self._seconds(questions, self.batch, self._reply)

    def label_loop(self, questions: Sequence[Choose]) -> float:
        """Score every label of every question in a forward of its own."""
        pairs = [
            (evolve(question, readout=Likelihood()), option.name)
            for question in questions
            for option in question.options
        ]
        return self._seconds(pairs, 1, lambda some: [self.plain.token_log_probs(*pair) for pair in some])

    def _reply(self, questions: Sequence[Choose]) -> None:
        asked = [evolve(question, readout=Reply()) for question in questions]
        self.plain.replies(asked, self.max_tokens, min_tokens=self.min_tokens)

    def _seconds(self, items: Sequence[T], batch: int, work: Callable[[Sequence[T]], object]) -> float:
        """Time a sample of items, ``batch`` at once, and return what all would take."""
        batches = [items[start : start + batch] for start in range(0, len(items), batch)]
        count = min(len(batches), max(1, self.sample // batch))
        chosen = [batches[index * len(batches) // count] for index in range(count)]
        started = time.perf_counter()
        for some in chosen:
            work(some)
        return (time.perf_counter() - started) / sum(map(len, chosen)) * len(items)
