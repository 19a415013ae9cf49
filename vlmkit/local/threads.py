"""How many cores the threads beside the forward compute on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController


@contextmanager
def on_one_core() -> Iterator[None]:
    """Let torch compute on this thread alone, on a CPU, whatever other threads do.

    Otherwise every thread gets a team of helpers. Once the teams have more threads than there are cores, OpenMP sends
    helpers to sleep at once, not after a while, and each small step of the forward first has to wake its own.
    """
    torch.get_num_threads()  # a thread's first use of torch sets its team, and would undo the limit
    with _controller().limit(limits=1, user_api="openmp"):
        yield


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()
