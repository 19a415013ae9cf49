"""Token trees without weights: the same prompts, trunks, tries and forwards, counted and not computed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import torch
from attrs import Factory, define

from vlmkit.local.asked import Asked
from vlmkit.local.bill import Bill
from vlmkit.local.budget import Budget
from vlmkit.tokentree.backend import TokenTreeBackend
from vlmkit.tokentree.executor import Consume, Executor
from vlmkit.tokentree.family import Family, Features, Picture
from vlmkit.tokentree.layout import KV, Layout, Sight
from vlmkit.tokentree.packing import Packed, Row
from vlmkit.tokentree.score import Question
from vlmkit.tokentree.trunks import Trunk, Trunks
from vlmkit.tokentree.work import Work, patches
from vlmkit.types import Capability, Image

_ELSEWHERE = torch.device("meta")
"""Tensors there have a shape and a size and take no memory."""


@define
class DryBackend(TokenTreeBackend):
    """Bills every query as the backend of the loaded model would, and says nothing true.

    Every option scores 0, and every reply is as long as it may be.

    Args:
        work: What was counted; it grows with every call.
    """

    work: Work = Factory(Work)

    @classmethod
    def of(cls, backend: TokenTreeBackend) -> DryBackend:
        """Return the counterpart of a backend that can do without weights; copies of it share their model."""
        assert backend.sketch is not None
        return cls(cache(backend.sketch), backend.describe, backend.limits)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All of the model's but features: there is nothing that they could be read off."""
        return super().capabilities - {Capability.FEATURES}

    @property
    def family(self) -> Any:
        """The family's model, on the meta device."""
        return cast(_Sketch, self._ready().family).model_family

    def prompt_tokens(self, text: str, images: Sequence[Image]) -> int:
        """Return how many tokens a whole prompt has, those of its images included."""
        trunks = self._ready()
        (ids,) = trunks.family.tokenize([trunks.family.chat(text, len(images))])
        return len(trunks.family.expand(ids, trunks.pictures.of(images)))

    def _ready(self) -> Trunks:
        if self._trunks is None:
            family = cast(Family, _Sketch(self.load(), self.work))
            self._trunks = self._trunks_of(family, _DryExecutor(family, Budget(self.limits.tokens), self.work))
        return self._trunks

    def _question(self, one: Asked, trunk: Trunk, stem: Sequence[int], family: Family) -> Question:
        question = super()._question(one, trunk, stem, family)
        self.work.read += sum(len({node for node, _ in branch.edges}) for _, branch in question.grown())
        return question


class _Sketch:
    """A family whose model has no weights: all that computes is replaced, all else is its own."""

    def __init__(self, family: Family, work: Work) -> None:
        self.model_family = family
        self._work = work
        self._hidden = int(cast(Any, family).model.config.get_text_config().hidden_size)
        self._no_end = next(token for token in range(len(family.end_tokens) + 1) if token not in family.end_tokens)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model_family, name)

    def encode(self, pictures: Sequence[Picture]) -> Sequence[Features]:
        self._work.encoded += [patches(picture, self.model_family) for picture in pictures]
        return [Features(torch.empty(picture.tokens, self._hidden, device=_ELSEWHERE)) for picture in pictures]

    def positions(self, ids: Sequence[int], pictures: Sequence[Picture]) -> torch.Tensor:
        return torch.arange(len(ids))[None]

    def sights(self, ids: Sequence[int], features: Sequence[Features]) -> Sequence[Sight]:
        return ()

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Let no reply end before its limit."""
        self._work.read += len(hidden)
        logits = torch.full((len(hidden), self._no_end + 1), -torch.inf)
        logits[:, self._no_end] = 0
        return logits


@define
class _DryExecutor(Executor):
    """Bills forwards; keys and values that are to be kept have their true size."""

    work: Work

    def run(self, rows: Sequence[Row], consume: Consume, bill: Bill, *, capture: bool = False) -> None:
        def step(which: range) -> None:
            batch = rows[which.start : which.stop]
            for row in batch:
                self.work.add_row(row)
            if capture:  # what else is consumed are scores, which nobody knows
                packed = _unfilled(batch, self.family.kv_bytes)
                consume(which, packed, torch.empty(len(packed.ids), 0))
            bill.forward(row.owner for row in batch)

        self.budget.run([row.cost for row in rows], step)

    def watch(self, rows: Sequence[Row], layer: int, bill: Bill) -> list[torch.Tensor]:
        def step(which: range) -> None:
            batch = rows[which.start : which.stop]
            self.work.early += [(layer, len(row), sum(row.seen)) for row in batch]
            bill.forward(row.owner for row in batch)

        self.budget.run([row.cost for row in rows], step)
        return [torch.zeros(len(row)) for row in rows]


class _UnfilledLayout:
    def __init__(self, kv_bytes: int) -> None:
        self._kv_bytes = kv_bytes

    def cut(self, start: int, stop: int) -> KV:
        half = torch.empty(stop - start, 1, self._kv_bytes // 2, dtype=torch.uint8, device=_ELSEWHERE)
        return KV({0: half}, {0: half})


def _unfilled(rows: Sequence[Row], kv_bytes: int) -> Packed:
    spans, start = [], 0
    for row in rows:
        spans.append((start, start + len(row)))
        start += len(row)
    nothing = torch.empty(start, device=_ELSEWHERE)
    return Packed(nothing, nothing, (), cast(Layout, _UnfilledLayout(kv_bytes)), tuple(spans))
