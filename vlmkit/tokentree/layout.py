"""Who attends to whom in a packed forward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from attrs import Factory, define, evolve, field, frozen

from vlmkit.types.tuples import as_tuple

if TYPE_CHECKING:
    from vlmkit.tokentree.weights import Observer


KEYS_MULTIPLE = 32
"""The number of keys in a row with a mask is a multiple of this: kernels read whole registers."""


def aligned(keys: int) -> int:
    """Return how many keys a row with a mask is padded to."""
    return -(-keys // KEYS_MULTIPLE) * KEYS_MULTIPLE


@frozen(eq=False)
class KV:
    """Keys and values of consecutive tokens or of visual states, read-only.

    Args:
        keys: By layer, each [P, H, D], rotary positions applied.
        values: By layer, each [P, H, D].
    """

    keys: Mapping[int, torch.Tensor]
    values: Mapping[int, torch.Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.keys.values())))

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return sum(tensor.nbytes for tensor in (*self.keys.values(), *self.values.values()))

    @classmethod
    def joined(cls, parts: Sequence[KV]) -> KV:
        """Return the parts end to end."""
        if len(parts) == 1:
            return parts[0]
        layers = parts[0].keys
        return cls(
            {layer: torch.cat([part.keys[layer] for part in parts]) for layer in layers},
            {layer: torch.cat([part.values[layer] for part in parts]) for layer in layers},
        )

    def first(self, count: int) -> KV:
        """Return a view on the first ``count`` tokens."""
        return KV(
            {layer: keys[:count] for layer, keys in self.keys.items()},
            {layer: values[:count] for layer, values in self.values.items()},
        )


@frozen(eq=False)
class Sight:
    """What tokens see by cross-attention: visual states, which are no part of any sequence.

    Args:
        states: Pieces of visual states, in the layers of cross-attention alone; all are seen.
        before_images: Whether the tokens stand before every image of their prompt.
    """

    states: tuple[KV, ...] = field(converter=as_tuple)
    before_images: bool = False

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return sum(piece.nbytes for piece in self.states)


@frozen
class Reach:
    """How far a layer sees.

    Args:
        window: A query sees only keys fewer than so many tokens behind it; None for all.
        chunk: It sees only keys in its own chunk of so many tokens; None for all.
        ahead: Whether images that see ahead do so.
    """

    window: int | None = None
    chunk: int | None = None
    ahead: bool = True

    def within(self, length: int) -> Reach:
        """Return what is left of it in sequences of that many tokens."""
        limited = any(limit is not None and limit < length for limit in (self.window, self.chunk))
        return self if limited else Reach(ahead=self.ahead)


@frozen(eq=False)
class Bucket:
    """Rows of like length, computed in one attention call.

    Args:
        queries: Index of every query among the packed tokens, int64 [B, t]; padded with the row's first token.
        keys: Index of every key among all past tokens followed by the packed ones, int64 [B, s].
        mask: Which key each query sees, bool [B, 1, t, s]; None for plain causal rows without a past.
        real: Which queries are no padding, bool [B, t].
        query_places: How many tokens each query has before it in its own sequence, int64 [B, t].
        key_places: The same of every key, int64 [B, s].
        read: Columns of the queries whose last hidden states are wanted, int64 [B, r], r at least 1; padded with -1.
        length: Tokens of the longest sequence that a row is of; more than it has keys where it leaves some out.
    """

    queries: torch.Tensor
    keys: torch.Tensor
    mask: torch.Tensor | None
    real: torch.Tensor
    query_places: torch.Tensor
    key_places: torch.Tensor
    read: torch.Tensor
    length: int = Factory(lambda bucket: bucket.keys.shape[1], takes_self=True)
    _biases: dict[tuple[Reach, torch.dtype], torch.Tensor] = field(factory=dict, init=False)

    @property
    def pairs(self) -> torch.Tensor:
        """How many pairs of a query and a key that it sees there are, limits of any reach left out; int64."""
        if self.mask is None:
            lengths = self.real.sum(1)
            return (lengths * (lengths + 1) // 2).sum()
        return (self.mask[:, 0] & self.real[:, :, None]).sum()

    def bias(self, reach: Reach, dtype: torch.dtype) -> torch.Tensor | None:
        """Return what is added to the scores, 0 or minus infinity, [B, 1, t, s]; None where causality says it all."""
        reach = reach.within(self.length)
        if self.mask is None and (reach.window, reach.chunk) == (None, None):
            return None
        if (reach, dtype) not in self._biases:
            hidden = ~self.seen(reach)
            self._biases[reach, dtype] = torch.zeros_like(hidden, dtype=dtype).masked_fill_(hidden, float("-inf"))
        return self._biases[reach, dtype]

    def narrowed(self) -> Bucket:
        """Return the bucket of the queries alone that are read."""
        columns = self.read.clamp(min=0)
        places = self.query_places.gather(1, columns)
        if self.mask is None:
            mask = (self.key_places[:, None] <= places[:, :, None])[:, None]
        else:
            mask = self.mask.gather(2, columns[:, None, :, None].expand(-1, 1, -1, self.mask.shape[-1]))
        return evolve(
            self, queries=self.queries.gather(1, columns), mask=mask, real=self.read >= 0, query_places=places
        )

    def seen(self, reach: Reach) -> torch.Tensor:
        """Return which key each query sees, bool [B, 1, t, s]."""
        queries, keys = self.query_places[:, None, :, None], self.key_places[:, None, None, :]
        seen = keys <= queries
        if self.mask is not None:
            seen = self.mask if reach.ahead else self.mask & seen
        if reach.window is not None:
            seen = seen & (keys > queries - reach.window)
        if reach.chunk is not None:
            seen = seen & (keys // reach.chunk == queries // reach.chunk)
        return seen


@define(eq=False)
class Layout:
    """The structure of one packed forward.

    Args:
        tokens: Number of packed tokens, T.
        pasts: Distinct pieces of past that rows refer to.
        buckets: All rows.
        sights: Index of the tokens that see each, int64; empty in families without cross-attention.
        capture: Whether keys and values of the packed tokens are kept in ``captured``.
        watched: The layer in which the forward ends and shows how much attention its tokens get; None for no such.
        captured: For every layer the pair of keys and values, each [T, H, D].
        ahead_everywhere: Whether images that see ahead do so in every layer, or in those with a window alone.
        isolated: All rows once more, for each layer in which images of some do not see each other.
        observer: Told all attention weights, at the price of computing them; None for nobody.
    """

    tokens: int
    pasts: Sequence[KV]
    buckets: Sequence[Bucket]
    sights: Mapping[Sight, torch.Tensor] = field(factory=dict)
    capture: bool = False
    watched: int | None = None
    captured: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(factory=dict)
    ahead_everywhere: bool = True
    isolated: Mapping[int, Sequence[Bucket]] = field(factory=dict)
    observer: Observer | None = None
    _orders: dict[int, torch.Tensor] = field(factory=dict, init=False)

    def at(self, layer: int) -> tuple[Sequence[Bucket], torch.Tensor]:
        """Return the buckets of a layer, and where every packed token is among their padded queries, int64 [T].

        A token that is in none is one past the last of them.
        """
        buckets = self.isolated.get(layer, self.buckets)
        if id(buckets) not in self._orders:
            # Padding goes to a place of its own, so that no device has to tell the host how much there is of it.
            token_of = torch.cat([torch.where(one.real, one.queries, self.tokens).flatten() for one in buckets])
            places = torch.arange(len(token_of), device=token_of.device)
            nowhere = places.new_full((self.tokens + 1,), len(token_of))
            self._orders[id(buckets)] = nowhere.index_copy_(0, token_of, places)[:-1]
        return buckets, self._orders[id(buckets)]

    @property
    def read(self) -> torch.Tensor:
        """The packed tokens whose last hidden states are wanted, int64 [R]; some may stand there several times."""
        return torch.cat([one.queries.gather(1, one.read.clamp(min=0)).flatten() for one in self.buckets])

    def narrowed(self) -> Layout:
        """Return what the last layer needs: all keys, and of the queries those that are read."""
        distinct = {id(buckets): buckets for buckets in (self.buckets, *self.isolated.values())}
        narrow = {key: [bucket.narrowed() for bucket in buckets] for key, buckets in distinct.items()}
        isolated = {layer: narrow[id(buckets)] for layer, buckets in self.isolated.items()}
        return evolve(self, buckets=narrow[id(self.buckets)], isolated=isolated)

    def cut(self, start: int, stop: int) -> KV:
        """Copy a span out of the captured layers, so that the rest of the forward can be freed."""
        return KV(
            {layer: keys[start:stop].clone() for layer, (keys, _) in self.captured.items()},
            {layer: values[start:stop].clone() for layer, (_, values) in self.captured.items()},
        )
