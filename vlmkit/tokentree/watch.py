"""Forwards that end in a layer whose attention is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import torch
from attrs import evolve

from vlmkit.local.bill import Bill
from vlmkit.tokentree.executor import Executor
from vlmkit.tokentree.packing import Row, pack
from vlmkit.tokentree.received import Watched


@torch.inference_mode()
def watch(executor: Executor, rows: Sequence[Row], layer: int, bill: Bill) -> list[torch.Tensor]:
    """Return how much attention each token of every row gets; layers behind that one are not computed.

    Args:
        executor: Whose model and budget.
        rows: Rows without branches and without a past.
        layer: The layer, from 1 on.
        bill: Every forward is charged as one.
    """

    def step(which: range) -> list[torch.Tensor]:
        batch = rows[which.start : which.stop]
        packed = pack(batch, executor.family.device)
        layout = evolve(packed.layout, watched=layer - 1)
        try:
            executor.family.forward(packed.ids, packed.positions, packed.features, layout)
        except Watched as seen:
            bill.forward(row.owner for row in batch)
            return [seen.attention[start:stop] for start, stop in packed.spans]
        raise AssertionError(f"no attention in layer {layer}")

    return list(chain.from_iterable(executor.budget.run([row.cost for row in rows], step)))
