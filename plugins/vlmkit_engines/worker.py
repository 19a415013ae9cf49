"""What a process of its own does: it asks for examples, solves them, and sends what became of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection

from vlmkit import Example, LabelSpace, Pipeline, Taxonomy
from vlmkit.engine import Solved, portable
from vlmkit.errors import UserError

Said = Solved | UserError | None
"""What a worker sends: what became of an example, what ends the run, or nothing, which asks for examples."""


def work(
    connection: Connection, pipeline: Pipeline, labels: LabelSpace, taxonomy: Taxonomy | None, threads: int
) -> None:
    """Work until nobody listens any more.

    Args:
        connection: To the process that hands out the examples.
        pipeline: The strategy on its model, not loaded.
        labels: What may be answered.
        taxonomy: The tree that the labels are leaves of.
        threads: Threads to compute with.
    """
    torch = sys.modules.get("torch")  # without it the pipeline is none of a local model, and has no use for threads
    if torch is not None:
        torch.set_num_threads(threads)
    try:
        with pipeline:
            while True:
                connection.send(None)
                examples: Sequence[Example] = connection.recv()
                for solved in pipeline.solve(examples, labels, taxonomy=taxonomy):
                    connection.send(portable(solved))
    except UserError as error:
        connection.send(error)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
