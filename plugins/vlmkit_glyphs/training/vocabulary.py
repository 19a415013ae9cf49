"""New words in a tokenizer and a model that were made without them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast, Qwen3VLForConditionalGeneration


def learn_words(
    model: Qwen3VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]
) -> None:
    """Make every word of the texts one token, in place; a new token begins as the mean of those it is made of.

    Tokens keep their numbers, and what was one token stays one: new merges come after all that were there.
    """
    before = len(tokenizer)
    made_of = _merge_words(tokenizer.backend_tokenizer, texts)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    embeddings = model.get_input_embeddings().weight
    with torch.no_grad():
        for token, parts in made_of.items():
            embeddings[token] = embeddings[list(parts)].mean(0)
    assert len(tokenizer) == before + len(made_of)


def _merge_words(tokenizer: Tokenizer, texts: Iterable[str]) -> Mapping[int, tuple[int, ...]]:
    """Add the merges that the words lack; return the new tokens with the old ones that they stand for."""
    assert tokenizer.pre_tokenizer is not None
    words = {word: None for text in texts for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)}
    state = json.loads(tokenizer.to_str())["model"]
    vocabulary: dict[str, int] = state["vocab"]
    merges: list[tuple[str, str]] = [(left, right) for left, right in state["merges"]]
    made_of: dict[int, tuple[int, ...]] = {}
    for word in words:
        while len(pieces := tokenizer.model.tokenize(word)) > 1:
            left, right = pieces[0], pieces[1]
            token = vocabulary.setdefault(left.value + right.value, len(vocabulary))
            merges.append((left.value, right.value))
            made_of[token] = (*made_of.get(left.id, (left.id,)), *made_of.get(right.id, (right.id,)))
            tokenizer.model = models.BPE(vocab=vocabulary, merges=merges)
    return made_of
