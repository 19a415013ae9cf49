"""Laws of the trie: it merges what is shared, forgets nothing, and does not care about order."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vlmkit.local.candidates import closed
from vlmkit.tokentree.trie import Branch, grow, split

tokens = st.integers(0, 4)
candidates = st.lists(st.lists(tokens, min_size=1, max_size=5).map(tuple), min_size=1, max_size=12)
stems = st.lists(tokens, min_size=1, max_size=4)


def ancestors(branch: Branch, index: int) -> list[int]:
    return [j for j in range(index + 1) if index < branch.ends[j]]


def texts_read(branch: Branch) -> list[tuple[int, ...]]:
    """What each candidate's edges spell, and that they hang on each other."""
    texts = []
    for path in branch.candidates:
        edges = [branch.edges[edge] for edge in path]
        for (_, token), (node, _) in pairwise(edges):
            assert branch.tokens[node] == token
        texts.append(tuple(token for _, token in edges))
    return texts


@given(stems, candidates)
def test_every_candidate_is_spelled_by_its_edges(stem, options):
    assert texts_read(grow(stem, options)) == options


@given(stems, candidates)
def test_each_token_sees_its_own_prefix_and_nothing_else(stem, options):
    branch = grow(stem, options)
    for candidate, path in zip(options, branch.candidates, strict=True):
        for depth, edge in enumerate(path):
            node, _ = branch.edges[edge]
            seen = tuple(branch.tokens[j] for j in ancestors(branch, node))
            assert seen == (*stem, *candidate[:depth])
            assert branch.depths[node] == len(seen) - 1


@given(stems, candidates, st.randoms(use_true_random=False))
def test_order_of_candidates_never_changes_the_branch(stem, options, rng: random.Random):
    order = list(range(len(options)))
    rng.shuffle(order)
    plain, shuffled = grow(stem, options), grow(stem, [options[i] for i in order])
    assert (plain.tokens, plain.ends, plain.edges) == (shuffled.tokens, shuffled.ends, shuffled.edges)
    assert [plain.candidates[i] for i in order] == list(shuffled.candidates)


@given(stems, candidates)
def test_size_is_that_of_the_set_of_prefixes(stem, options):
    prefixes = {candidate[:length] for candidate in options for length in range(1, len(candidate))}
    assert len(grow(stem, options).tokens) == len(stem) + len(prefixes)


@given(candidates, st.integers(1, 8))
def test_split_deals_every_candidate_out_once_and_keeps_to_the_limit(options, limit):
    parts = split(options, limit)
    assert sorted(index for part in parts for index in part) == list(range(len(options)))
    for part in parts:
        inner = len(grow([9], [options[i] for i in part]).tokens) - 1
        assert inner <= max(limit, max(len(options[i]) - 1 for i in part))


@given(candidates)
def test_after_closing_no_candidate_begins_another(options):
    distinct = sorted(set(options))
    done = closed(distinct, 99, always=False)
    assert not any(a != b and b[: len(a)] == a for a in done for b in done)
    assert all(len(a) - len(b) in (0, 1) for a, b in zip(done, distinct, strict=True))
