"""How few tokens would do: all that is asked about an image in one trie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from vlmkit.engine import Exchange
from vlmkit.local.asked import Asked
from vlmkit.local.candidates import Ids, candidate_tokens, common_prefix
from vlmkit.tokentree.family import Family
from vlmkit.types import Choose


def ideal_tokens(exchanges: Iterable[Exchange], family: Family, image_tokens: int) -> int:
    """Return the number of nodes of the trie of all prompts and scored answers about one image.

    The last token of an answer is scored but seen by nothing, so it is no node.

    Args:
        exchanges: What was asked about one image, with a readout that gives scores.
        family: Turns text into tokens.
        image_tokens: Tokens that the image takes.
    """
    known: dict[str, Sequence[int]] = {}
    sequences = sorted(sequence for exchange in exchanges for sequence in _sequences(exchange, family, known))
    nodes = 0
    previous: Ids = ()
    for sequence in sequences:
        nodes += len(sequence) - common_prefix(sequence, previous)
        previous = sequence
    return nodes + image_tokens - 1  # its placeholder is a node already


def _sequences(exchange: Exchange, family: Family, known: dict[str, Sequence[int]]) -> Iterator[Ids]:
    assert isinstance(exchange.query, Choose)
    prompt = tuple(family.tokenize([exchange.answer.prompt])[0])
    texts = Asked(0, exchange.query, exchange.answer.prompt, prompt).texts
    for candidate in candidate_tokens(texts, exchange.query.readout, family, known):
        yield prompt + candidate[:-1]
