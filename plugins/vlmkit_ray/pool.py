"""The pool of workers: actors with a pipeline each, which Ray Data hands blocks to, and replaces where they die."""

from __future__ import annotations

import os
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from typing import Any

import pyarrow as pa
import ray
from attrs import frozen
from ray import data

from vlmkit import Example
from vlmkit.engine import Solved, portable
from vlmkit.errors import UserError
from vlmkit_ray.blocks import pack, unpack


@frozen
class Pool:
    """Workers that solve blocks of examples.

    Args:
        job: The pipeline, labels and taxonomy, pickled.
        workers: Most actors at once; there are fewer while the cluster has no room for more.
        cpus: CPU cores of each.
        gpus: GPUs of each.
        attempts: Most times that a block is begun.
    """

    job: bytes
    workers: int
    cpus: float
    gpus: float
    attempts: int

    def answers(self, blocks: list[ray.ObjectRef[pa.Table]]) -> Iterator[Solved | UserError]:
        """Yield what became of the examples in blocks, as blocks are done, or the error that ends the run."""
        context = data.DataContext.get_current().copy()
        context.enable_progress_bars = context.print_on_execution_start = False
        begun = ray.remote(num_cpus=0)(Begun).remote()
        with data.DataContext.current(context):
            solved = data.from_arrow_refs(blocks).map_batches(
                Worker,
                fn_constructor_args=(self.job, begun, self.attempts, os.getcwd()),
                batch_size=None,
                batch_format="pyarrow",
                compute=data.ActorPoolStrategy(min_size=1, max_size=self.workers, initial_size=self.workers),
                num_cpus=self.cpus,
                num_gpus=self.gpus,
            )
        for block in solved.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            yield from unpack(block)


class Begun:
    """Counts how often each block was begun; an actor of its own, which outlives the workers."""

    def __init__(self) -> None:
        self._times: Counter[tuple[str, ...]] = Counter()

    def again(self, block: tuple[str, ...]) -> int:
        """Return how often the block with these ids was begun, this time included."""
        self._times[block] += 1
        return self._times[block]


class Worker:
    """Holds one pipeline, and with it one model.

    Args:
        job: The pipeline, labels and taxonomy, pickled. They are unpickled at the first block, so that what is wrong
            with them on this node is told like any other error.
        begun: The actor with a ``Begun``.
        attempts: Most times that a block is begun.
        directory: Where relative paths start, if this node has it.
    """

    def __init__(self, job: bytes, begun: Any, attempts: int, directory: str) -> None:
        self.job, self.begun, self.attempts = job, begun, attempts
        if os.path.isdir(directory):
            os.chdir(directory)

    @cached_property
    def _solve(self) -> Callable[[Iterable[Example]], Iterator[Solved]]:
        pipeline, labels, taxonomy = pickle.loads(self.job)
        return partial(pipeline.solve, labels=labels, taxonomy=taxonomy)

    def __call__(self, block: pa.Table) -> pa.Table:
        """Return what became of the examples of a block; behind them, if there is one, the error that ends the run.

        Nothing becomes of a block that has cost as many workers their lives as it may.
        """
        examples = list(unpack(block))
        answers: list[Solved | UserError] = []
        if ray.get(self.begun.again.remote(tuple(example.id for example in examples))) > self.attempts:
            return pack(answers)
        try:
            for solved in self._solve(examples):
                answers.append(portable(solved))
        except UserError as error:
            answers.append(error)
        return pack(answers)
