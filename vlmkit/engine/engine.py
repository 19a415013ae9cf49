"""The engine: runs many strategy generators side by side and gathers their pending queries into batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from attrs import define, field, frozen
from attrs.validators import ge

from vlmkit.contracts import Backend, Solving, Strategy
from vlmkit.data.images import open_image
from vlmkit.errors import CapabilityError, StrategyError, UserError
from vlmkit.prompts import Prompt, default_prompt
from vlmkit.types import Answer, Ask, Classify, Example, Failed, LabelSpace, Prediction, Query, Task, Usage


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


@frozen
class Engine:
    """Drives one strategy on one backend.

    Args:
        strategy: What to ask.
        backend: Who answers.
        in_flight: Most examples worked on at once.
        keep_exchanges: Whether ``Solved.exchanges`` holds every query and answer.
    """

    strategy: Strategy
    backend: Backend
    in_flight: int = field(default=32, validator=ge(1))
    keep_exchanges: bool = False

    def solve(
        self,
        examples: Iterable[Example],
        labels: LabelSpace,
        *,
        seed: int = 0,
        prompt: Prompt | None = None,
    ) -> Iterator[Solved]:
        """Solve every example; yields in the order of ``examples``.

        An example that fails (its picture, its strategy, its queries) is yielded with its error; the others go on.

        Raises:
            UserError: The request as a whole is wrong (no such model, a capability is missing); examples that are
                done are yielded before.
        """
        check_capabilities(self.strategy, self.backend)
        waiting = iter(examples)
        window: deque[_Job] = deque()
        exhausted = False
        while True:
            while not exhausted and sum(not job.done for job in window) < self.in_flight:
                example = next(waiting, None)
                if example is None:
                    exhausted = True
                else:
                    window.append(self._start(example, labels, seed, prompt or default_prompt()))
            while window and window[0].done:
                yield window.popleft().solved
            if not window:
                if exhausted:
                    return
                continue
            try:
                self._step([job for job in window if not job.done])
            except UserError:
                # Nothing can be answered any more; what is done, behind examples that are not, is worth keeping.
                yield from (job.solved for job in window if job.done)
                raise

    def _start(self, example: Example, labels: LabelSpace, seed: int, prompt: Prompt) -> _Job:
        job = _Job(example, self.keep_exchanges)
        try:
            job.begin(self.strategy.solve(_task(example, labels, seed, prompt)))
        except UserError:
            raise
        except Exception as error:
            job.fail(error)
        return job

    def _step(self, jobs: Sequence[_Job]) -> None:
        """Answer the pending queries of all jobs in one call; ask one by one if that call fails."""
        try:
            answers = self._answer([query for job in jobs for query in job.pending])
        except UserError:
            raise
        except Exception as error:
            if len(jobs) == 1:
                jobs[0].fail(error)
            else:
                for job in jobs:
                    self._step([job])
            return
        position = 0
        for job in jobs:
            count = len(job.pending)
            job.receive(answers[position : position + count])
            position += count

    def _answer(self, queries: Sequence[Query]) -> Sequence[Answer]:
        answers = self.backend.answer(queries)
        if len(answers) != len(queries):
            raise StrategyError(f"backend gave {len(answers)} answers to {len(queries)} queries")
        return answers


def check_capabilities(strategy: Strategy, backend: Backend) -> None:
    """Compare what a strategy requires with what a backend can do; needs no weights.

    Raises:
        CapabilityError: Something is missing.
    """
    missing = strategy.requires - backend.capabilities
    if missing:
        raise CapabilityError(
            missing, strategy=type(strategy).__name__, backend=str(backend.identity.get("model", backend))
        )


def _task(example: Example, labels: LabelSpace, seed: int, prompt: Prompt) -> Task:
    images = tuple(open_image(source, name=example.id) for source in example.images)
    if example.question is not None:
        return Ask(images=images, question=example.question, id=example.id, seed=seed)
    return Classify(images=images, labels=labels, id=example.id, seed=seed, prompt=prompt)


@define
class _Job:
    """One example at work: its generator, its pending queries, its bill."""

    example: Example
    keep_exchanges: bool
    pending: Sequence[Query] = ()
    prediction: Prediction | None = None
    error: Exception | None = None
    usage: Usage = field(factory=Usage)
    exchanges: list[Exchange] = field(factory=list)
    rounds: int = 0
    _solving: Solving | None = None

    @property
    def done(self) -> bool:
        return self.prediction is not None or self.error is not None

    @property
    def solved(self) -> Solved:
        return Solved(self.example, self.prediction, self.error, self.usage, tuple(self.exchanges))

    def begin(self, solving: Solving) -> None:
        self._solving = solving
        self._advance(lambda: next(solving))

    def receive(self, answers: Sequence[Answer]) -> None:
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
