"""What the machine can do at best: one large matrix product."""

from __future__ import annotations

import time

import torch

from vlmkit.bench.watch import wait

_SIDES = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of the matrices: large enough to be at the peak, small enough to take about a tenth of a second."""

_REPEATS = 8


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Return floating-point operations a second of a large matrix product, the best of some."""
    side = _SIDES[device.type]
    first, second = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best = 0.0
    for _ in range(_REPEATS):
        wait(device)
        started = time.perf_counter()
        first @ second
        wait(device)
        best = max(best, 2 * side**3 / (time.perf_counter() - started))
    return best
