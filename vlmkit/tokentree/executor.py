"""Runs rows in packed forwards within a token budget, and keeps the bill."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
from attrs import define, evolve, field

from vlmkit.errors import BackendError
from vlmkit.tokentree.family import Family, Features
from vlmkit.tokentree.layout import KV
from vlmkit.tokentree.packing import MAX_SCORES, Packed, Row, batches, pack
from vlmkit.types import Usage

LOWEST_BUDGET = 256
"""Token budget below which running out of memory is final."""

log = logging.getLogger("vlmkit")

Consume = Callable[[range, Packed, torch.Tensor], None]
"""Takes the indices of the rows of one forward, how they lie in it, and hidden states [T, hidden].

It may run out of memory and is then called again, so it must change nothing before it has computed everything.
"""


@define
class Bill:
    """What every query of one ``answer`` call cost.

    Args:
        usages: One usage a query.
    """

    usages: list[Usage]

    def add(self, query: int, usage: Usage) -> None:
        """Charge a query."""
        self.usages[query] += usage

    def forward(self, rows: Sequence[Row]) -> None:
        """Share one forward out over the queries whose rows rode in it."""
        owners = {row.owner for row in rows}
        for owner in owners:
            self.add(owner, Usage(forwards=1 / len(owners)))


@define
class Executor:
    """Runs rows on a family's model.

    Running out of memory halves ``budget`` for good and goes on with the rows that are not done.

    Args:
        family: The model.
        budget: Most tokens of one forward.
    """

    family: Family
    budget: int = field()

    @torch.inference_mode()
    def run(self, rows: Sequence[Row], consume: Consume, bill: Bill, *, capture: bool = False) -> None:
        """Run every row once and hand each forward's hidden states to ``consume``.

        Raises:
            BackendError: Memory runs out even at ``LOWEST_BUDGET``.
        """
        done = 0
        while done < len(rows):
            batch = next(batches(rows[done:], self.budget))
            try:
                packed = pack(batch, self.family.device, capture=capture)
                hidden = self.family.forward(packed.ids, packed.positions, packed.features, packed.layout)
                consume(range(done, done + len(batch)), packed, hidden)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                self._shrink(error)
                continue
            bill.forward(batch)
            done += len(batch)

    def prefill(self, rows: Sequence[Row], bill: Bill) -> list[KV]:
        """Run rows without branches, in as many steps as the budget takes, and return the keys and values of each."""
        pieces: list[list[KV]] = [[] for _ in rows]
        waiting = list(range(len(rows)))
        while waiting:
            heads = [self._head(rows[index], pieces[index]) for index in waiting]

            def keep(which: range, packed: Packed, _: torch.Tensor, waiting: list[int] = waiting) -> None:
                cuts = [packed.layout.cut(start, stop) for start, stop in packed.spans]
                for place, cut in zip(which, cuts, strict=True):
                    pieces[waiting[place]].append(cut)

            self.run(heads, keep, bill, capture=True)
            waiting = [index for index in waiting if sum(map(len, pieces[index])) < len(rows[index])]
        return [KV.joined(parts) for parts in pieces]

    def _head(self, row: Row, done: Sequence[KV]) -> Row:
        """Return the next tokens of such a row that fit a forward, or one whole image, with what is done as past."""
        start = sum(map(len, done))
        past = (*row.past, *done)
        seen = sum(map(len, past))
        masked = seen or self.family.images_see_ahead
        room = max(1, min(self.budget, MAX_SCORES // (seen + self.budget))) if masked else self.budget
        stop = min(len(row), start + room)
        if stop < len(row) and row.starts[stop] < stop:  # inside an image that sees ahead
            stop = row.starts[stop]
            while stop <= start or (stop < len(row) and row.starts[stop] < stop):
                stop += 1
        if stop - start == len(row):
            return row
        visible = [sum(token == self.family.image_token for token in row.tokens[:end]) for end in (start, stop)]
        return evolve(
            row,
            tokens=row.tokens[start:stop],
            starts=[first - start for first in row.starts[start:stop]],
            ends=[stop - start] * (stop - start),
            positions=row.positions[:, start:stop],
            past=past,
            features=_window(row.features, *visible),
            sights=row.sights[start:stop],
        )

    def _shrink(self, error: Exception) -> None:
        if self.budget // 2 < LOWEST_BUDGET:
            raise BackendError(
                f"out of memory even with {self.budget} tokens in a forward",
                hint="use a smaller model, a lower precision (--dtype) or a machine with more memory",
            ) from error
        self.budget //= 2
        if self.family.device.type == "cuda":
            torch.cuda.empty_cache()
        log.warning("out of memory: going on with at most %d tokens in a forward", self.budget)


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _window(features: Sequence[Features], start: int, stop: int) -> list[Features]:
    """Return the visual tokens from ``start`` to ``stop``, counted over all features."""
    window, offset = [], 0
    for one in features:
        low, high = max(0, start - offset), min(one.embeds.shape[0], stop - offset)
        if low < high:
            window.append(Features(one.embeds[low:high], tuple(deep[low:high] for deep in one.deep)))
        offset += one.embeds.shape[0]
    return window
