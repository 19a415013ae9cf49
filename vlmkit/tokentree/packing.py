"""From rows to packed forwards: which tokens go together, and the layout that keeps them apart."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from attrs import Factory, field, frozen
from torch.nn.functional import pad

from vlmkit.tokentree.family import Features
from vlmkit.tokentree.isolation import Isolation, strip_bucket, strips
from vlmkit.tokentree.layout import KV, Bucket, Layout, Sight, aligned
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
        isolation: Where its images do not see each other; None for nowhere. Such a row has no branches.
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
    isolation: Isolation | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def seen(self) -> Sequence[int]:
        """How many keys each token sees."""
        changes = [0] * (len(self) + 1)
        for start, end in zip(self.starts, self.ends, strict=True):
            changes[start] += 1
            changes[end] -= 1
        return list(itertools.accumulate(changes[:-1], initial=sum(map(len, self.past))))[1:]

    @property
    def cost(self) -> int:
        """What the row takes of a forward's token budget: its tokens, or more if their masks would fill the memory."""
        if self.causal and self.isolation is None:
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
    groups = list(_groups([(_isolated_in(row), row.causal, len(row), _keys(row)) for row in rows]))
    buckets = [
        _bucket([rows[i] for i in group], [spans[i][0] for i in group], starts, before, device) for group in groups
    ]
    apart = {
        place: _strip_buckets(
            [rows[i] for i in group],
            [_places(rows[i], starts, before + spans[i][0]) for i in group],
            before,
            device,
        )
        for place, group in enumerate(groups)
        if rows[group[0]].isolation is not None
    }
    return Packed(
        ids=torch.tensor([token for row in rows for token in row.tokens], device=device),
        positions=torch.cat([row.positions for row in rows], dim=1).to(device),
        features=tuple(features for row in rows for features in row.features),
        layout=Layout(
            ends[-1],
            pasts,
            buckets,
            _sights(rows, spans, device),
            capture=capture,
            isolated=_isolated(buckets, apart, [_isolated_in(rows[group[0]]) for group in groups]),
        ),
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


def _isolated_in(row: Row) -> frozenset[int]:
    """Return the layers in which a row's images do not see each other."""
    return frozenset() if row.isolation is None else row.isolation.layers


def _keys(row: Row) -> int:
    keys = len(row) + sum(map(len, row.past))
    return keys if row.causal else aligned(keys)


def _groups(sizes: Sequence[tuple[frozenset[int], bool, int, int]]) -> Iterator[list[int]]:
    """Group runs of queries of like size, so that padding stays small and no attention call grows past the bounds.

    Args:
        sizes: Of each run the layers that treat it otherwise, whether it is causal, its queries and its keys.

    Yields:
        Indices of runs that are alike.
    """
    group: list[int] = []
    for index in sorted(range(len(sizes)), key=lambda i: (sorted(sizes[i][0]), sizes[i][1], sizes[i][3], sizes[i][2])):
        if group:
            *kind, width, keys = sizes[index]
            *first_kind, _, fewest = sizes[group[0]]
            widest = max(width, *(sizes[i][2] for i in group))
            gathered = (len(group) + 1) * keys
            unlike = kind != first_kind or keys > 1.25 * fewest + 16
            if unlike or gathered > MAX_KEYS or gathered * widest > MAX_SCORES:
                yield group
                group = []
        group.append(index)
    if group:
        yield group


def _places(row: Row, past_starts: dict[int, int], first: int) -> torch.Tensor:
    """Return where each token of a row's past and of the row itself is among all keys; the row begins at ``first``."""
    starts = [*((past_starts[id(piece)], len(piece)) for piece in row.past), (first, len(row))]
    return torch.cat([torch.arange(start, start + length) for start, length in starts])


def _strip_buckets(
    rows: Sequence[Row], places: Sequence[torch.Tensor], before: int, device: torch.device
) -> list[Bucket]:
    """Lay rows out as the layers compute them that isolate their images."""
    whole = [
        (strip, of)
        for row, of in zip(rows, places, strict=True)
        if row.isolation is not None
        for strip in strips(row, row.isolation)
    ]
    sizes = [(frozenset[int](), strip.causal, len(strip.columns), len(strip.places)) for strip, _ in whole]
    return [
        strip_bucket([whole[i][0] for i in group], [whole[i][1] for i in group], before, device)
        for group in _groups(sizes)
    ]


def _isolated(
    buckets: Sequence[Bucket], apart: Mapping[int, Sequence[Bucket]], layers: Sequence[frozenset[int]]
) -> dict[int, Sequence[Bucket]]:
    """Return all buckets of every layer in which some are taken apart; layers that do so alike share them.

    Args:
        buckets: Of layers that take none apart.
        apart: By the index of a bucket, what becomes of it.
        layers: In which layers that happens to each bucket.
    """
    known: dict[tuple[int, ...], Sequence[Bucket]] = {}
    isolated = {}
    for layer in frozenset[int]().union(*layers):
        which = tuple(place for place in apart if layer in layers[place])
        if which not in known:
            known[which] = [
                one for place, bucket in enumerate(buckets) for one in (apart[place] if place in which else [bucket])
            ]
        isolated[layer] = known[which]
    return isolated


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
    read = _table([range(len(row)) if row.reads is None else row.reads for row in rows], filled=-1).to(device)
    if rows[0].causal:
        # Padding stands right of every real key, so causality alone hides it.
        own = column.expand(len(rows), -1).to(device)
        return Bucket(queries.to(device), (before + queries).to(device), None, real.to(device), own, own, read)

    depth = int(pasts.max())
    past_keys = _past_keys(rows, past_starts)[:, :depth]
    starts, ends = _table([row.starts for row in rows]), _table([row.ends for row in rows])
    sees_past = torch.arange(depth) < pasts[:, None]
    starts, ends, column, sees_past = (one.to(device) for one in (starts, ends, column, sees_past))
    query, key = column[None, :, None], column[None, None, :]
    below = query < ends[:, None, :]
    # Token j is an ancestor of token i (or i itself) exactly if j <= i < ends[j].
    depths = ((key <= query) & below).sum(2) - 1
    seen = (starts[:, None, :] <= query) & below
    # A padded query must see something, or its softmax is not a number.
    seen |= torch.eye(width, dtype=torch.bool, device=device)
    query_places = depths + pasts[:, None].to(device)
    past_places = torch.arange(depth, device=device).expand(len(rows), -1)
    unseen = aligned(depth + width) - depth - width
    mask = pad(torch.cat([sees_past[:, None, :].expand(-1, width, -1), seen], dim=2)[:, None], (0, unseen))
    keys = pad(torch.cat([past_keys, before + queries], dim=1), (0, unseen))
    key_places = pad(torch.cat([past_places, query_places], dim=1), (0, unseen))
    return Bucket(queries.to(device), keys.to(device), mask, real.to(device), query_places, key_places, read)


def _past_keys(rows: Sequence[Row], past_starts: Mapping[int, int]) -> torch.Tensor:
    """Return where the tokens of each row's past are among all past tokens, int64 [B, at least the longest]."""
    pasts = [tuple(map(id, row.past)) for row in rows]
    alike = dict(zip(pasts, (row.past for row in rows), strict=True))  # the rows of an image have one past
    of = {past: index for index, past in enumerate(alike)}
    places = [
        [place for piece in past for place in range(past_starts[id(piece)], past_starts[id(piece)] + len(piece))]
        for past in alike.values()
    ]
    return _table(places)[[of[past] for past in pasts]]


def _table(rows: Sequence[Sequence[int]], filled: int = 0) -> torch.Tensor:
    """Return rows of unlike length as one table, int64 [B, at least 1]."""
    lengths = np.array([len(row) for row in rows])
    table = np.full((len(rows), max(1, lengths.max())), filled, dtype=np.int64)
    numbers = np.fromiter(itertools.chain.from_iterable(rows), dtype=np.int64, count=lengths.sum())
    table[np.arange(table.shape[1]) < lengths[:, None]] = numbers
    return torch.from_numpy(table)
