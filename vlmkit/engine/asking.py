"""How the pending queries of many examples reach a backend: in one call, or each example's in its own."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Protocol, Self

from attrs import define, field, frozen

from vlmkit.contracts import Backend, Concurrent
from vlmkit.engine.job import Job
from vlmkit.errors import StrategyError, UserError
from vlmkit.types import Answer, Query


class Asking(Protocol):
    """Brings jobs on."""

    def step(self, jobs: Sequence[Job]) -> None:
        """Bring at least one of the jobs on by a round.

        Raises:
            UserError: Nothing can be answered any more.
        """
        ...


def way_of_asking(backend: Backend) -> AbstractContextManager[Asking]:
    """Return the way of asking that suits a backend."""
    if isinstance(backend, Concurrent):
        return Apart(backend, ThreadPoolExecutor(backend.concurrent_calls))
    return nullcontext(Together(backend))


@frozen
class Together:
    """Puts the queries of all jobs in one call: a local model answers large batches fastest.

    Args:
        backend: Who answers.
    """

    backend: Backend

    def step(self, jobs: Sequence[Job]) -> None:
        """Bring all jobs on; ask one by one if the call for all fails."""
        try:
            answers = _answers(self.backend, [query for job in jobs for query in job.pending])
        except UserError:
            raise
        except Exception as error:
            if len(jobs) == 1:
                jobs[0].fail(error)
            else:
                for job in jobs:
                    self.step([job])
            return
        position = 0
        for job in jobs:
            count = len(job.pending)
            job.receive(answers[position : position + count])
            position += count


@define
class Apart:
    """Puts each job's queries in a call of their own, many at once: no job waits for the answers of another.

    Args:
        backend: Who answers.
        pool: Where the calls wait for their answers.
    """

    backend: Backend
    pool: ThreadPoolExecutor
    _asked: dict[Future[Sequence[Answer]], Job] = field(factory=dict, init=False)

    def step(self, jobs: Sequence[Job]) -> None:
        """Ask for every job that is not asked for yet; bring on those whose answers are there, at least one."""
        under_way = {id(job) for job in self._asked.values()}
        for job in jobs:
            if id(job) not in under_way:
                self._asked[self.pool.submit(_answers, self.backend, job.pending)] = job
        answered, _ = wait(self._asked, return_when=FIRST_COMPLETED)
        # Those with answers first: an error that ends it all must not cost them.
        for future in sorted(answered, key=lambda future: future.exception() is not None):
            job = self._asked.pop(future)
            try:
                job.receive(future.result())
            except UserError:
                raise
            except Exception as error:
                job.fail(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)


def _answers(backend: Backend, queries: Sequence[Query]) -> Sequence[Answer]:
    for change in dict.fromkeys(change for query in queries for change in query.interventions):
        if change.requires not in backend.capabilities:
            raise StrategyError(f"{change} needs {change.requires}, which the strategy does not require")
    answers = backend.answer(queries)
    if len(answers) != len(queries):
        raise StrategyError(f"backend gave {len(answers)} answers to {len(queries)} queries")
    return answers
