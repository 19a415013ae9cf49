"""Decoding of many replies at once over shared trunks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from attrs import define, field, frozen

from vlmkit.local.bill import Bill
from vlmkit.local.sampling import Sampler, next_tokens
from vlmkit.tokentree.executor import Executor
from vlmkit.tokentree.layout import KV
from vlmkit.tokentree.packing import Packed, Row
from vlmkit.tokentree.trunks import Trunk
from vlmkit.types import Tokens, Usage


@frozen(eq=False)
class Opening:
    """A prompt to be continued.

    Args:
        owner: Index of the query.
        trunk: What is computed already.
        stem: The prompt's tokens after the trunk, at least one.
        limit: Longest reply, in tokens.
        sampler: How its tokens are chosen.
    """

    owner: int
    trunk: Trunk
    stem: Sequence[int]
    limit: int
    sampler: Sampler


@define(eq=False)
class _Reply:
    """A reply that grows: what is to be run next, and the keys and values of what has been."""

    opening: Opening
    next: Sequence[int]
    done: list[KV] = field(factory=list)
    tokens: list[int] = field(factory=list)

    def row(self) -> Row:
        trunk = self.opening.trunk
        start = trunk.next_position + sum(map(len, self.done))
        place = (torch.arange(len(self.next)) + start).expand(trunk.positions.shape[0], -1)
        ends = [len(self.next)] * len(self.next)
        sights = trunk.sees * len(self.next)
        past = (*trunk.pieces, *self.done)
        return Row(self.opening.owner, self.next, ends, place, past, sights=sights, reads=[len(self.next) - 1])

    def extend(self, done: KV, token: int, bill: Bill) -> None:
        tokens = Tokens(generated=1) if self.tokens else Tokens(branch=len(self.next))
        bill.add(self.opening.owner, Usage(tokens=tokens))
        self.done = [done]
        self.tokens.append(token)
        self.next = [token]


def replies_to(openings: Sequence[Opening], executor: Executor, bill: Bill) -> list[str]:
    """Return a continuation of every prompt, made token by token up to the end of the model's turn."""
    family = executor.family
    replies = [_Reply(opening, opening.stem) for opening in openings]
    growing = replies
    while growing:

        def read(
            which: range, packed: Packed, hidden: torch.Tensor, growing: Sequence[_Reply] = tuple(growing)
        ) -> None:
            last = [stop - 1 for _, stop in packed.spans]
            mine = growing[which.start : which.stop]
            samplers = [reply.opening.sampler for reply in mine]
            chosen = next_tokens(family.logits(hidden[last]), samplers, [len(reply.tokens) for reply in mine])
            done = [
                KV.joined([*reply.done, packed.layout.cut(start, stop)])
                for reply, (start, stop) in zip(mine, packed.spans, strict=True)
            ]
            for reply, past, token in zip(mine, done, chosen, strict=True):
                reply.extend(past, token, bill)

        executor.run([reply.row() for reply in growing], read, bill, capture=True)
        growing = [
            reply
            for reply in growing
            if reply.tokens[-1] not in family.end_tokens and len(reply.tokens) < reply.opening.limit
        ]
    return [family.detokenize([token for token in reply.tokens if token not in family.end_tokens]) for reply in replies]
