"""Runs rows in packed forwards within a token budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from attrs import define, evolve

from vlmkit.local.bill import Bill
from vlmkit.local.budget import Budget
from vlmkit.tokentree.family import Family, Features
from vlmkit.tokentree.layout import KV
from vlmkit.tokentree.packing import MAX_SCORES, Packed, Row, pack
from vlmkit.tokentree.received import Watched

Consume = Callable[[range, Packed, torch.Tensor], None]
"""Takes the indices of the rows of one forward, how they lie in it, and hidden states [T, hidden].

It may run out of memory and is then called again, so it must change nothing before it has computed everything.
"""


@define
class Executor:
    """Runs rows on a family's model.

    Args:
        family: The model.
        budget: How much goes into one forward.
    """

    family: Family
    budget: Budget

    @torch.inference_mode()
    def run(self, rows: Sequence[Row], consume: Consume, bill: Bill, *, capture: bool = False) -> None:
        """Run every row once and hand each forward's hidden states to ``consume``.

        Raises:
            BackendError: Memory runs out even for the smallest forward.
        """

        def step(which: range) -> None:
            batch = rows[which.start : which.stop]
            packed = pack(batch, self.family.device, capture=capture)
            hidden = self.family.forward(packed.ids, packed.positions, packed.features, packed.layout)
            consume(which, packed, hidden)
            bill.forward(row.owner for row in batch)

        self.budget.run([row.cost for row in rows], step)

    @torch.inference_mode()
    def watch(self, rows: Sequence[Row], layer: int, bill: Bill) -> list[torch.Tensor]:
        """Return how much attention every token gets in a layer, float32 [tokens] a row; all that follows is left out.

        Args:
            rows: Rows without branches and without a past.
            layer: The layer, from 1 on.
            bill: Each of the forwards counts as one.
        """

        def step(which: range) -> list[torch.Tensor]:
            batch = rows[which.start : which.stop]
            packed = pack(batch, self.family.device)
            layout = evolve(packed.layout, watched=layer - 1)
            try:
                self.family.forward(packed.ids, packed.positions, packed.features, layout)
            except Watched as seen:
                bill.forward(row.owner for row in batch)
                return [seen.attention[start:stop] for start, stop in packed.spans]
            raise AssertionError(f"no attention in layer {layer}")

        return [found for batch in self.budget.run([row.cost for row in rows], step) for found in batch]

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
        masked = seen or self.family.images_see_ahead or row.isolation is not None
        budget = self.budget.tokens
        room = max(1, min(budget, MAX_SCORES // (seen + budget))) if masked else budget
        stop = min(len(row), start + room)
        if stop < len(row) and row.starts[stop] < stop:  # inside an image that sees ahead
            stop = row.starts[stop]
            while stop <= start or (stop < len(row) and row.starts[stop] < stop):
                stop += 1
        if stop - start == len(row):
            return evolve(row, reads=())
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
            reads=(),
            isolation=None if row.isolation is None else row.isolation.only(range(seen + stop - start)),
        )


def _window(features: Sequence[Features], start: int, stop: int) -> list[Features]:
    """Return the visual tokens from ``start`` to ``stop``, counted over all features."""
    window, offset = [], 0
    for one in features:
        low, high = max(0, start - offset), min(one.embeds.shape[0], stop - offset)
        if low < high:
            window.append(Features(one.embeds[low:high], tuple(deep[low:high] for deep in one.deep)))
        offset += one.embeds.shape[0]
    return window
