"""How few tokens would do: all that is asked about one example in one trie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vlmkit.engine import Exchange
from vlmkit.local.asked import Asked
from vlmkit.local.candidates import Ids, candidate_tokens, common_prefix
from vlmkit.tokentree.family import Family
from vlmkit.types import Choose


def ideal_tokens(exchanges: Iterable[Exchange], family: Family) -> int:
    """Return the number of nodes of the trie of all prompts and scored answers about one example.

    The last token of an answer is scored but seen by nothing, so it is no node.

    Args:
        exchanges: What was asked about one example, with a readout that gives scores.
        family: Turns text into tokens.
    """
    known: dict[str, Sequence[int]] = {}
    answers: dict[Ids, set[Ids]] = {}
    for exchange in exchanges:
        query, text = exchange.query, exchange.answer.prompt
        assert isinstance(query, Choose)
        pictures = [family.picture(image, len(query.images) == 1) for image in query.images]
        prompt = tuple(family.expand(family.tokenize([text])[0], pictures))
        candidates = candidate_tokens(Asked(0, query, text, prompt).texts, query.readout, family, known)
        answers.setdefault(prompt, set()).update(candidate[:-1] for candidate in candidates)
    # No prompt goes on where another one ends, so that their answers share nothing.
    return _nodes(answers) + sum(map(_nodes, answers.values()))


def _nodes(sequences: Iterable[Ids]) -> int:
    """Return the number of nodes of a trie, its root left out."""
    nodes = 0
    previous: Ids = ()
    for sequence in sorted(sequences):
        nodes += len(sequence) - common_prefix(sequence, previous)
        previous = sequence
    return nodes
