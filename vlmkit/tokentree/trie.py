"""A stem with a trie of candidate answers on it, in an order in which every subtree is contiguous."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from attrs import frozen

from vlmkit.local.candidates import Ids, common_prefix


@frozen
class Branch:
    """The tokens of one stem and its trie; a candidate's last token is scored but needs no forward of its own.

    A token is an ancestor of token ``i`` exactly if it is some ``j <= i`` with ``i < ends[j]``.

    Args:
        tokens: Token ids, stem first, then the inner nodes of the trie in depth-first order.
        depths: Distance of every token from the start of the stem.
        ends: Index after the last descendant of every token.
        edges: Pairs (token index, id of a possible next token), each scored once.
        candidates: For every candidate the indices of its edges, in its order.
    """

    tokens: tuple[int, ...]
    depths: tuple[int, ...]
    ends: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]
    candidates: tuple[tuple[int, ...], ...]


def grow(stem: Sequence[int], candidates: Sequence[Ids]) -> Branch:
    """Put candidates on a stem, shared beginnings merged.

    The branch does not depend on the order of the candidates, so neither do their scores.

    Args:
        stem: At least one token id.
        candidates: Non-empty sequences of token ids.
    """
    trie, root = _on_one_token(tuple(candidates)), len(stem) - 1
    size = root + len(trie.tokens)
    return Branch(
        tokens=(*stem, *trie.tokens[1:]),
        depths=(*range(root), *(root + depth for depth in trie.depths)),
        ends=(*[size] * root, *(root + end for end in trie.ends)),
        edges=tuple((root + node, token) for node, token in trie.edges),
        candidates=trie.candidates,
    )


@lru_cache(maxsize=32)  # letters are the same for all groups of a size
def _on_one_token(candidates: tuple[Ids, ...]) -> Branch:
    """Put candidates on a stem of one token, which is 0."""
    tokens, depths, ends = [0], [0], [0]
    path = [0]
    trail: list[int] = []
    edges: list[tuple[int, int]] = []
    edges_of: list[tuple[int, ...]] = [()] * len(candidates)

    def close(kept: int) -> None:
        for node in path[kept:]:
            ends[node] = len(tokens)
        del path[kept:]

    previous: Ids = ()
    for index in sorted(range(len(candidates)), key=candidates.__getitem__):
        candidate = candidates[index]
        shared = common_prefix(candidate, previous)
        close(min(shared + 1, len(path)))
        for token in candidate[len(path) - 1 : -1]:
            path.append(len(tokens))
            tokens.append(token)
            depths.append(len(path) - 1)
            ends.append(0)
        del trail[shared:]
        for edge in zip(path[shared:], candidate[shared:], strict=True):
            trail.append(len(edges))
            edges.append(edge)
        edges_of[index] = tuple(trail)
        previous = candidate
    close(0)
    return Branch(tuple(tokens), tuple(depths), tuple(ends), tuple(edges), tuple(edges_of))


def split(candidates: Sequence[Ids], limit: int) -> list[list[int]]:
    """Deal candidates out to branches of at most about ``limit`` tokens, those with a shared beginning together.

    Returns:
        Lists of indices into ``candidates``; each index once.
    """
    if sum(map(len, candidates)) - len(candidates) <= limit:
        return [list(range(len(candidates)))]
    parts: list[list[int]] = []
    size = nodes = 0
    previous: Ids = ()
    for index in sorted(range(len(candidates)), key=candidates.__getitem__):
        candidate = candidates[index]
        shared = min(common_prefix(candidate, previous), nodes)
        if not parts or size + len(candidate) - 1 - shared > limit:
            parts.append([])
            size = shared = 0
        parts[-1].append(index)
        size += len(candidate) - 1 - shared
        nodes, previous = len(candidate) - 1, candidate
    return parts
