"""A family whose passes through the model are timed and counted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from attrs import define

from vlmkit.bench.machine import Machine
from vlmkit.tokentree import Features, Layout, Picture
from vlmkit.tokentree.family import Family
from vlmkit.tokentree.work import Work, patches


@define
class TimedWork(Work):
    """What went through a model since the last ``reset``, and how long that took.

    Args:
        seconds: Spent inside of its passes: vision tower, language model, logits and their softmax.
    """

    seconds: float = 0.0

    def reset(self) -> None:
        """Forget everything."""
        self.seconds, self.tokens, self.pairs, self.read = 0.0, 0, 0, 0
        self.unfinished, self.unfinished_pairs, self.seen, self.early, self.encoded = 0, 0, 0, [], []


class Watched:
    """A family that does what another does, and notes it. On CUDA each pass is waited for.

    Args:
        family: Does the work.
        work: Where it is noted.
        machine: Runs it.
    """

    def __init__(self, family: Family, work: TimedWork, machine: Machine) -> None:
        self._family = family
        self._work = work
        self._machine = machine

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
        self._work.add_forward(layout)
        with self._timed():
            return self._family.forward(ids, positions, features, layout)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Compute logits."""
        self._work.read += len(hidden)
        with self._timed():
            return self._family.logits(hidden)

    def log_probs(self, hidden: torch.Tensor) -> torch.Tensor:
        """Compute log-probabilities."""
        self._work.read += len(hidden)
        with self._timed():
            return self._family.log_probs(hidden)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        self._machine.wait()
        started = time.perf_counter()
        try:
            yield
        finally:
            self._machine.wait()
            self._work.seconds += time.perf_counter() - started
