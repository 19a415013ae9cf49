"""The pool of workers: actors with a pipeline each; Ray Data hands them blocks, and replaces those that die."""

from __future__ import annotations

import os
import pickle
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import cached_property, partial
from typing import Any

import pyarrow as pa
import ray
from ray import data

from vlmkit import Example
from vlmkit.engine import Solved, portable
from vlmkit.errors import UserError, first_line
from vlmkit_ray.blocks import pack, unpack


def answers(
    blocks: Iterable[ray.ObjectRef], job: bytes, *, attempts: int, workers: int, cpus: float, gpus: float
) -> Generator[Solved | UserError]:
    """Yield what became of the examples in blocks, as blocks are done, or the error that ends the run.

    Args:
        blocks: The blocks.
        job: The pipeline, labels and taxonomy, pickled.
        attempts: Most times that a block is begun.
        workers: Most actors at once; there are fewer while the cluster has no room for more.
        cpus: CPU cores of each.
        gpus: GPUs of each.
    """
    refs = list(dict.fromkeys(blocks))
    if not refs:
        return
    context = data.DataContext.get_current().copy()
    context.enable_progress_bars = context.print_on_execution_start = False
    # Where its node dies it starts again elsewhere, and counts from zero.
    begun = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Begun).remote()
    with data.DataContext.current(context):
        solved = data.from_arrow_refs(refs).map_batches(
            Worker,
            fn_constructor_args=(job, begun, attempts, os.getcwd()),
            batch_size=None,
            batch_format="pyarrow",
            compute=data.ActorPoolStrategy(min_size=1, max_size=workers, initial_size=workers),
            num_cpus=cpus,
            num_gpus=gpus,
        )
    done: Any = iter(solved.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0))
    with closing(done):  # or else its threads outlive the connection, and end the process
        for block in done:
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
    """Holds one pipeline, and with it one model; relative paths start in ``directory``, if this node has it."""

    def __init__(self, job: bytes, begun: Any, attempts: int, directory: str) -> None:
        self.job, self.begun, self.attempts = job, begun, attempts
        if os.path.isdir(directory):
            os.chdir(directory)

    @cached_property
    def _solve(self) -> Callable[[Iterable[Example]], Iterator[Solved]]:
        # At the first block: what is wrong with them on this node is then told like any other error.
        try:
            pipeline, labels, taxonomy = pickle.loads(self.job)
        except UserError:
            raise
        except Exception as error:  # a module that is not there, or another version of it
            raise UserError(
                f"a Ray worker cannot take the run over ({type(error).__name__}: {first_line(error)})",
                hint="install the same vlmkit, plugins and libraries on every node",
            ) from error
        return partial(pipeline.solve, labels=labels, taxonomy=taxonomy)

    def __call__(self, block: pa.Table) -> pa.Table:
        """Return what became of the examples of a block; behind them, if there is one, the error that ends the run.

        Nothing becomes of a block that has cost as many workers their lives as it may.
        """
        examples = list(unpack(block))
        results: list[Solved | UserError] = []
        if ray.get(self.begun.again.remote(tuple(example.id for example in examples))) <= self.attempts:
            try:
                for solved in self._solve(examples):
                    results.append(portable(solved))
            except UserError as error:
                results.append(error)
        return pack(results)
