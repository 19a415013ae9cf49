"""Examples as a Ray data set, an actor pool of pipelines, and results as they come."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen
from attrs.validators import ge, gt, optional

from vlmkit import Example, LabelSpace, Pipeline, Taxonomy
from vlmkit.engine import Reading, Solved
from vlmkit.errors import BackendError, UserError
from vlmkit_ray.cluster import connected, room

if TYPE_CHECKING:
    from ray import ObjectRef

LOGS = "/tmp/ray/session_latest/logs"
"""Where Ray writes them on every node, unless told otherwise."""


@frozen
class RayEngine:
    """Solves examples on a Ray cluster: Ray Data hands blocks of them to a pool of actors, each with a model.

    Results come as blocks are done. An actor or a node that dies is replaced, and its blocks are solved again. What is
    missing in the end is asked once more, each example alone, so that one that takes its worker with it fails alone.

    Args:
        workers: Actors, each with a model; by default as many as the cluster has room for.
        gpus_per_worker: GPUs of an actor, a fraction if several share one; by default 1 if the cluster has any.
        cpus_per_worker: CPU cores of an actor, and threads that it computes with.
        address: Address of the cluster, ``auto`` for the one on this machine; by default one is started here, and
            ends with the run.
        block: Examples that a worker is handed at once; where it dies, they are solved again.
        attempts: Most times that a block is begun, if its worker dies each time.
    """

    workers: int | None = field(default=None, validator=optional(ge(1)))
    gpus_per_worker: float | None = field(default=None, validator=optional(ge(0)))
    cpus_per_worker: float = field(default=1, validator=gt(0))
    address: str | None = None
    block: int = field(default=64, validator=ge(1))
    attempts: int = field(default=3, validator=ge(1))

    def solve(
        self,
        pipeline: Pipeline,
        examples: Iterable[Example],
        labels: LabelSpace,
        *,
        taxonomy: Taxonomy | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Solved]:
        """Yield what became of every example, each once; on a stop, blocks in flight are left to the next go.

        Raises:
            UserError: Ray is not installed, there is no such cluster or no room on it, a worker found the request as a
                whole wrong, or none lived long enough to solve anything.
        """
        job = pickle.dumps((pipeline, labels, taxonomy))
        with connected(self.address):
            from vlmkit_ray.blocks import fetch, stored  # only now: they need what the extra brings
            from vlmkit_ray.pool import answers

            fits, gpus = room(cpus := self.cpus_per_worker, self.gpus_per_worker)
            ask = partial(answers, job=job, attempts=self.attempts, workers=self.workers or fits, cpus=cpus, gpus=gpus)
            reading = Reading(iter(examples))
            with stored(reading, self.block) as waiting:
                total = len(waiting)
                yield from _solved(ask(waiting.values()), waiting, stop)
                if stop():
                    return
                if total and len(waiting) == total:
                    raise UserError(
                        "no Ray worker lived long enough to solve a block",
                        hint=f"is memory short? Lower --in-flight, and see the logs of Ray in {LOGS}",
                    )
                with stored(fetch(waiting), 1) as alone:
                    yield from _solved(ask(alone.values()), waiting, stop)
                if stop():
                    return
                for example in fetch(waiting):
                    lost = BackendError(f"lost {self.attempts} workers in a row", hint=f"see the logs of Ray in {LOGS}")
                    yield Solved(example, error=lost)
            reading.check()


def _solved(
    answers: Generator[Solved | UserError], waiting: dict[str, ObjectRef], stop: Callable[[], bool]
) -> Iterator[Solved]:
    """Yield the answers to examples that wait for one, and let them wait no longer."""
    from vlmkit_ray.blocks import contents

    examples: dict[str, Example] = {}
    with closing(answers):
        for answer in answers:
            if isinstance(answer, UserError):
                raise answer
            name = answer.example.id
            if name in waiting:
                if name not in examples:
                    examples = contents(waiting[name])
                del waiting[name]
                yield evolve(answer, example=examples[name])  # its pictures in memory stayed in the store
            if stop():
                return
