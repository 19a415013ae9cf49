"""The engine: runs many strategy generators side by side and brings their pending queries to the backend."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future
from functools import partial

from attrs import field, frozen
from attrs.validators import ge

from vlmkit.contracts import Backend, Prepares, Strategy
from vlmkit.data.opening import Opener
from vlmkit.engine.asking import way_of_asking
from vlmkit.engine.feed import Feed
from vlmkit.engine.job import Job, Solved
from vlmkit.errors import CapabilityError, UserError
from vlmkit.prompts import Prompt, default_prompt
from vlmkit.types import Ask, Classify, Example, LabelSpace, Task, Taxonomy

_BEGUN = 4
"""Most examples begun for each one in flight: behind one that is slow, others are done and wait to be yielded."""


@frozen
class Engine:
    """Drives one strategy on one backend.

    Args:
        strategy: What to ask.
        backend: Who answers.
        in_flight: Most examples worked on at once.
        keep_exchanges: Whether ``Solved.exchanges`` holds every query and answer.
        opener: Opens the pictures.
    """

    strategy: Strategy
    backend: Backend
    in_flight: int = field(default=32, validator=ge(1))
    keep_exchanges: bool = False
    opener: Opener = field(factory=Opener)

    def solve(
        self,
        examples: Iterable[Example],
        labels: LabelSpace,
        *,
        seed: int = 0,
        prompt: Prompt | None = None,
        taxonomy: Taxonomy | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Solved]:
        """Solve every example; yields in the order of ``examples``.

        An example that fails (its picture, its strategy, its queries) is yielded with its error; the others go on.

        Args:
            examples: The examples.
            labels: What may be answered.
            seed: Seed of every random choice.
            prompt: The words of the questions.
            taxonomy: The tree that the labels are leaves of.
            stop: Whether no further example shall be begun; those in flight are finished.

        Raises:
            UserError: The request as a whole is wrong (no such model, a capability is missing); examples that are
                done are yielded before.
        """
        check_capabilities(self.strategy, self.backend)
        opened = partial(self._open, labels=labels, seed=seed, prompt=prompt or default_prompt(), taxonomy=taxonomy)
        window: deque[Job] = deque()
        exhausted = False
        with way_of_asking(self.backend) as way, Feed(examples, opened, ahead=self.in_flight) as feed:
            waiting = iter(feed)
            while True:
                while not exhausted and self._has_room(window):
                    fed = None if stop() else next(waiting, None)
                    if fed is None:
                        exhausted = True
                    else:
                        window.append(self._start(*fed))
                while window and window[0].done:
                    yield window.popleft().solved
                if not window:
                    if exhausted:
                        return
                    continue
                try:
                    way.step([job for job in window if not job.done])
                except UserError:
                    # Nothing can be answered any more; what is done, behind examples that are not, is worth keeping.
                    yield from (job.solved for job in window if job.done)
                    raise

    def begin(self, example: Example, labels: LabelSpace, *, taxonomy: Taxonomy | None = None) -> None:
        """Run the strategy up to its first queries and ask nothing; what is wrong with the example alone is no matter.

        Raises:
            UserError: The strategy finds the request as a whole wrong.
        """
        opened = partial(self._open, labels=labels, seed=0, prompt=default_prompt(), taxonomy=taxonomy)
        with Feed([example], opened, ahead=1) as feed:
            for fed in feed:
                self._start(*fed)

    def _has_room(self, window: Collection[Job]) -> bool:
        return len(window) < _BEGUN * self.in_flight and sum(not job.done for job in window) < self.in_flight

    def _open(self, example: Example, labels: LabelSpace, seed: int, prompt: Prompt, taxonomy: Taxonomy | None) -> Task:
        """Decode an example's images and get them ready; runs ahead, on other threads."""
        images = self.opener.open(example)
        if isinstance(self.backend, Prepares):
            self.backend.prepare(images)
        if example.question is not None:
            return Ask(images=images, question=example.question, id=example.id, seed=seed)
        return Classify(images=images, labels=labels, id=example.id, seed=seed, prompt=prompt, taxonomy=taxonomy)

    def _start(self, example: Example, opened: Future[Task]) -> Job:
        job = Job(example, self.keep_exchanges)
        try:
            job.begin(self.strategy.solve(opened.result()))
        except UserError:
            raise
        except Exception as error:
            job.fail(error)
        return job


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
