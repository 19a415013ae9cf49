"""How much goes into one forward and is read off it at once, and what happens when memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from attrs import define, frozen

from vlmkit.errors import BackendError

LOWEST_BUDGET = 256
"""Token budget below which running out of memory is final."""

LOGIT_BYTES = 2**28
"""Most bytes of float32 logits at once; a quarter of it on a CPU, where blocks as large go back to the system."""

T = TypeVar("T")

log = logging.getLogger("vlmkit")


@frozen
class Limits:
    """How much a backend for local models may hold and run at once.

    Args:
        tokens: Most tokens of one language-model forward.
        trunk_bytes: Bytes for the keys and values, or other states, of trunks.
        feature_bytes: Bytes for visual features, where they are kept beside the trunks.
        pixel_bytes: Bytes of prepared pixels that may wait for the vision tower.
    """

    tokens: int = 16_384
    trunk_bytes: int = 2 * 2**30
    feature_bytes: int = 2**29
    pixel_bytes: int = 2**30


@define
class Budget:
    """A token budget that running out of memory halves for good.

    Args:
        tokens: Most tokens of one forward.
    """

    tokens: int

    def run(self, costs: Sequence[int], step: Callable[[range], T]) -> list[T]:
        """Run consecutive items in batches that fit the budget, or of one item, and return what each step does.

        Args:
            costs: Tokens of every item.
            step: Runs the items of a range. It may run out of memory and is then called again with fewer of them.

        Raises:
            BackendError: Memory runs out even at ``LOWEST_BUDGET``.
        """
        returned: list[T] = []
        done = 0
        while done < len(costs):
            stop, held = done + 1, costs[done]
            while stop < len(costs) and held + costs[stop] <= self.tokens:
                held += costs[stop]
                stop += 1
            try:
                returned.append(step(range(done, stop)))
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                self._halve(error)
                continue
            done = stop
        return returned

    def _halve(self, error: Exception) -> None:
        if self.tokens // 2 < LOWEST_BUDGET:
            raise BackendError(
                f"out of memory even with {self.tokens} tokens in a forward",
                hint="use a smaller model, a lower precision (--dtype) or a machine with more memory",
            ) from error
        self.tokens //= 2
        torch.cuda.empty_cache()  # does nothing where there is no CUDA
        log.warning("out of memory: going on with at most %d tokens in a forward", self.tokens)


def logit_rows(vocabulary: int, device: torch.device) -> int:
    """Return of how many positions the logits are held at once."""
    most = LOGIT_BYTES // 4 if device.type == "cpu" else LOGIT_BYTES
    return max(1, most // (4 * vocabulary))


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
