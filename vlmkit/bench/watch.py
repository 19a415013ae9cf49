"""A family whose passes through the model are timed and counted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from attrs import define

from vlmkit.tokentree import Features, Layout, Picture
from vlmkit.tokentree.family import Family
from vlmkit.tokentree.work import Work, patches


@define
class TimedWork(Work):
    """What went through a model since the last ``reset``, and how long that took.

    Args:
        seconds: Spent inside of its passes: vision tower, language model, logits.
    """

    seconds: float = 0.0

    def reset(self) -> None:
        """Forget everything."""
        self.seconds, self.tokens, self.pairs, self.read, self.encoded = 0.0, 0, 0, 0, []


class Watched:
    """A family that does what another does, and notes it. On CUDA each pass is waited for.

    Args:
        family: Does the work.
        work: Where it is noted.
    """

    def __init__(self, family: Family, work: TimedWork) -> None:
        self._family = family
        self._work = work

    def __getattr__(self, name: str) -> Any:
        return getattr(self._family, name)

    def encode(self, pictures: Sequence[Picture]) -> Sequence[Features]:
        """Run the vision tower."""
        self._work.encoded += [patches(picture, self._family) for picture in pictures]
        with self._timed():
            return self._family.encode(pictures)

    def forward(
        self, ids: torch.Tensor, positions: torch.Tensor, features: Sequence[Features], layout: Layout
    ) -> torch.Tensor:
        """Run the language model."""
        self._work.tokens += len(ids)
        self._work.pairs = self._work.pairs + sum(_pairs(bucket.mask, bucket.real) for bucket in layout.buckets)
        with self._timed():
            return self._family.forward(ids, positions, features, layout)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Compute logits."""
        self._work.read += len(hidden)
        with self._timed():
            return self._family.logits(hidden)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        wait(self._family.device)
        started = time.perf_counter()
        yield
        wait(self._family.device)
        self._work.seconds += time.perf_counter() - started


def wait(device: torch.device) -> None:
    """Wait until a device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _pairs(mask: torch.Tensor | None, real: torch.Tensor) -> int | torch.Tensor:
    if mask is None:
        lengths = real.sum(1)
        return (lengths * (lengths + 1) // 2).sum()
    return (mask[:, 0] & real[:, :, None]).sum()
