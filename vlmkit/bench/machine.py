"""The hardware that a model runs on: its clock, its memory, and what it can do at best."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import torch
from attrs import frozen

_SIDES = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of the matrices: large enough to be at the peak, small enough to take about a tenth of a second."""

_REPEATS = 3


@frozen
class Machine:
    """A device at a precision.

    Args:
        device: Where models run.
        dtype: What they compute in.
    """

    device: torch.device
    dtype: torch.dtype

    def wait(self) -> None:
        """Wait until the device has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], object]) -> float:
        """Return how long work takes until the device has done it."""
        self.wait()
        started = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - started

    def peak_flops(self) -> float:
        """Return floating-point operations a second of one large matrix product, the best of some."""
        side = _SIDES[self.device.type]
        first, second = (torch.randn(side, side, device=self.device).to(self.dtype) for _ in range(2))
        return 2 * side**3 / min(self.seconds(lambda: first @ second) for _ in range(_REPEATS))

    def forget_memory(self) -> None:
        """Let ``peak_memory`` start anew where it can."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_memory(self) -> int:
        """Return the most bytes in use: of the device since ``forget_memory``, or of the process on a CPU."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
