"""From rows to packed forwards: which tokens go together, and the layout that keeps them apart."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import torch
from attrs import Factory, field, frozen

from vlmkit.tokentree.family import Features
from vlmkit.tokentree.layout import KV, Bucket, Layout, Sight
from vlmkit.types.tuples import as_tuple

ROW_TOKENS = 1024
"""Longest row of a branch; more is dealt out over several rows, so that no mask grows with its square."""

MAX_SCORES = 2**25
"""Most attention scores (B x t x s) of one attention call; bounds the mask to 32 MiB."""

MAX_KEYS = 2**19
"""Most keys (B x s) gathered for one attention call, padding included."""

KEYS_A_TOKEN = 2**13
"""Keys that a token of a forward's budget may see: bounds all masks of a forward together."""


@frozen(eq=False)
class Row:
    """A run of tokens that share one past and see each other as ancestors only.

    Args:
        owner: Index of the query that pays for it.
        tokens: Token ids.
        ends: Index after the last descendant of every token (see ``trie.Branch``).
        positions: int64 [A, len(tokens)].
        past: Pieces of past that every token sees, in order.
        features: Visual features for the placeholders among the tokens, in order.
        starts: Index of the first token that sees each token; its own but where an image sees ahead.
        sights: What every token sees by cross-attention; empty where there is none.
        reads: Index of every token whose last hidden state is wanted; None for all.
    """

    owner: int
    tokens: Sequence[int]
    ends: Sequence[int]
    positions: torch.Tensor
    past: tuple[KV, ...] = field(default=(), converter=as_tuple)
    features: tuple[Features, ...] = field(default=(), converter=as_tuple)
    starts: Sequence[int] = field(default=Factory(lambda row: range(len(row.tokens)), takes_self=True))
    sights: Sequence[Sight] = ()
    reads: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def cost(self) -> int:
        """What the row takes of a forward's token budget: its tokens, or more if their masks would fill the memory."""
        if self.causal:
            return len(self)
        return max(len(self), len(self) * (len(self) + sum(map(len, self.past))) // KEYS_A_TOKEN)

    @property
    def causal(self) -> bool:
        """Whether the row is an ordinary sequence from the very start."""
        if self.past or any(end != len(self.tokens) for end in self.ends):
            return False
        return all(start == index for index, start in enumerate(self.starts))


@frozen(eq=False)
class Packed:
    """One forward: rows end to end.

    Args:
        ids: int64 [T].
        positions: int64 [A, T].
        features: Visual features in the order of their placeholders.
        layout: Who attends to whom.
        spans: Index of the first token of every row, and after its last.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    features: tuple[Features, ...]
    layout: Layout
    spans: tuple[tuple[int, int], ...]


def pack(rows: Sequence[Row], device: torch.device, *, capture: bool = False) -> Packed:
    """Lay rows end to end and work out who attends to whom."""
    ends = list(itertools.accumulate(len(row) for row in rows))
    spans = tuple(zip([0, *ends], ends, strict=False))
    pasts, starts, before = _place_pasts(rows)
    buckets = [
        _bucket([rows[i] for i in group], [spans[i][0] for i in group], starts, before, device)
        for group in _groups(rows)
    ]
    return Packed(
        ids=torch.tensor([token for row in rows for token in row.tokens], device=device),
        positions=torch.cat([row.positions for row in rows], dim=1).to(device),
        features=tuple(features for row in rows for features in row.features),
        layout=Layout(ends[-1], pasts, buckets, _sights(rows, spans, device), capture=capture),
        spans=spans,
    )


def _place_pasts(rows: Sequence[Row]) -> tuple[list[KV], dict[int, int], int]:
    """Return the distinct pieces of past, where each starts, and how many tokens they hold together."""
    pasts: list[KV] = []
    starts: dict[int, int] = {}
    total = 0
    for row in rows:
        for piece in row.past:
            if id(piece) not in starts:
                starts[id(piece)] = total
                pasts.append(piece)
                total += len(piece)
    return pasts, starts, total


def _sights(rows: Sequence[Row], spans: Sequence[tuple[int, int]], device: torch.device) -> dict[Sight, torch.Tensor]:
    """Gather the tokens of all rows that see the same: in cross-attention, rows do not matter."""
    tokens: dict[Sight, list[int]] = {}
    for row, (first, _) in zip(rows, spans, strict=True):
        for index, sight in enumerate(row.sights, first):
            tokens.setdefault(sight, []).append(index)
    return {sight: torch.tensor(seeing, device=device) for sight, seeing in tokens.items()}


def _groups(rows: Sequence[Row]) -> Iterator[list[int]]:
    """Group rows of like size so that padding stays small and no attention call grows past the bounds."""
    keys_of = [len(row) + sum(map(len, row.past)) for row in rows]
    group: list[int] = []
    for index in sorted(range(len(rows)), key=lambda i: (rows[i].causal, keys_of[i], len(rows[i]))):
        if group:
            first, row = rows[group[0]], rows[index]
            keys = keys_of[index]
            widest = max(len(row), *(len(rows[i]) for i in group))
            unlike = first.causal != row.causal or keys > 1.25 * keys_of[group[0]] + 16
            gathered = (len(group) + 1) * keys
            if unlike or gathered > MAX_KEYS or gathered * widest > MAX_SCORES:
                yield group
                group = []
        group.append(index)
    if group:
        yield group


def _bucket(
    rows: Sequence[Row], offsets: Sequence[int], past_starts: dict[int, int], before: int, device: torch.device
) -> Bucket:
    lengths = torch.tensor([len(row) for row in rows])
    pasts = torch.tensor([sum(map(len, row.past)) for row in rows])
    first = torch.tensor(offsets)
    width = int(lengths.max())
    column = torch.arange(width)
    real = column < lengths[:, None]
    queries = first[:, None] + torch.where(real, column, 0)
    reads = [range(len(row)) if row.reads is None else row.reads for row in rows]
    read = torch.full((len(rows), max(1, *map(len, reads))), -1)
    for index, columns in enumerate(reads):
        read[index, : len(columns)] = torch.tensor(columns)
    read = read.to(device)
    if rows[0].causal:
        # Padding stands right of every real key, so causality alone hides it.
        own = column.expand(len(rows), -1).to(device)
        return Bucket(queries.to(device), (before + queries).to(device), None, real.to(device), own, own, read)

    depth = int(pasts.max())
    past_keys = torch.zeros(len(rows), depth, dtype=torch.int64)
    starts, ends = torch.zeros(2, len(rows), width, dtype=torch.int64)
    for index, row in enumerate(rows):
        places = [torch.arange(past_starts[id(piece)], past_starts[id(piece)] + len(piece)) for piece in row.past]
        if places:
            past_keys[index, : pasts[index]] = torch.cat(places)
        starts[index, : len(row)] = torch.tensor(row.starts)
        ends[index, : len(row)] = torch.tensor(row.ends)
    sees_past = torch.arange(depth) < pasts[:, None]
    starts, ends, column, sees_past = (one.to(device) for one in (starts, ends, column, sees_past))
    query, key = column[None, :, None], column[None, None, :]
    below = query < ends[:, None, :]
    # Token j is an ancestor of token i (or i itself) exactly if j <= i < ends[j].
    depths = ((key <= query) & below).sum(2) - 1
    seen = (starts[:, None, :] <= query) & below
    # A padded query must see something, or its softmax is not a number.
    seen |= torch.eye(width, dtype=torch.bool, device=device)
    mask = torch.cat([sees_past[:, None, :].expand(-1, width, -1), seen], dim=2)[:, None]
    keys = torch.cat([past_keys, before + queries], dim=1)
    query_places = depths + pasts[:, None].to(device)
    past_places = torch.arange(depth, device=device).expand(len(rows), -1)
    key_places = torch.cat([past_places, query_places], dim=1)
    return Bucket(queries.to(device), keys.to(device), mask, real.to(device), query_places, key_places, read)
