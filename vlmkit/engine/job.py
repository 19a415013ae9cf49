"""One example on its way through a strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define, field, frozen

from vlmkit.contracts import Solving
from vlmkit.errors import StrategyError, UserError
from vlmkit.types import Answer, Example, Failed, Prediction, Query, Usage


@frozen
class Exchange:
    """One query and its answer.

    Args:
        round: Round of the strategy, from 0.
        query: What was asked.
        answer: What came back.
    """

    round: int
    query: Query
    answer: Answer


@frozen
class Solved:
    """What became of one example: a prediction or an error, never both.

    Args:
        example: The example.
        prediction: The strategy's result, or None if the example failed.
        error: What made it fail, or None.
        usage: What its queries cost, also when it failed.
        exchanges: All its queries and answers, where the engine keeps them.
    """

    example: Example
    prediction: Prediction | None = None
    error: Exception | None = None
    usage: Usage = field(factory=Usage)
    exchanges: tuple[Exchange, ...] = field(default=(), repr=False)


@define
class Job:
    """One example at work: its generator, its pending queries, its bill.

    Args:
        example: The example.
        keep_exchanges: Whether every query and answer is kept.
    """

    example: Example
    keep_exchanges: bool
    pending: Sequence[Query] = field(default=(), init=False)
    prediction: Prediction | None = field(default=None, init=False)
    error: Exception | None = field(default=None, init=False)
    usage: Usage = field(factory=Usage, init=False)
    exchanges: list[Exchange] = field(factory=list, init=False)
    rounds: int = field(default=0, init=False)
    _solving: Solving | None = field(default=None, init=False)

    @property
    def done(self) -> bool:
        """Whether it has come to an end, good or bad."""
        return self.prediction is not None or self.error is not None

    @property
    def solved(self) -> Solved:
        """What became of the example."""
        return Solved(self.example, self.prediction, self.error, self.usage, tuple(self.exchanges))

    def begin(self, solving: Solving) -> None:
        """Run the strategy up to its first queries."""
        self._solving = solving
        self._advance(lambda: next(solving))

    def receive(self, answers: Sequence[Answer]) -> None:
        """Run the strategy on with the answers to its pending queries.

        Raises:
            UserError: The strategy finds the request as a whole wrong.
        """
        self.usage = sum((answer.usage for answer in answers), self.usage)
        if self.keep_exchanges:
            pairs = zip(self.pending, answers, strict=True)
            self.exchanges.extend(Exchange(self.rounds, query, answer) for query, answer in pairs)
        self.rounds += 1
        solving = self._solving
        assert solving is not None
        failed = next((answer for answer in answers if isinstance(answer, Failed)), None)
        try:
            self._advance(lambda: solving.send(answers) if failed is None else solving.throw(failed.error))
        except UserError:
            raise
        except Exception as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """End it with an error."""
        self.error, self.pending, self._solving = error, (), None

    def _advance(self, step: Callable[[], Sequence[Query]]) -> None:
        """Run the generator on from ``step`` until it asks something or returns."""
        assert self._solving is not None
        try:
            self.pending = step()
            while not self.pending:
                self.pending = self._solving.send(())
        except StopIteration as stop:
            if not isinstance(stop.value, Prediction):
                raise StrategyError(
                    f"strategy returned {type(stop.value).__name__}, not a Prediction",
                    hint="end solve() with return Prediction(...)",
                ) from None
            self.prediction, self.pending, self._solving = stop.value, (), None
