"""From candidate answers to the token ids by which they are scored."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Protocol

from vlmkit.errors import ModelError
from vlmkit.types import Letter, Likelihood, Readout

Ids = tuple[int, ...]
"""The tokens of a text."""


class Talker(Protocol):
    """What has tokens and ends its turns."""

    def tokenize(self, texts: Sequence[str]) -> Sequence[Sequence[int]]:
        """Return token ids, nothing added."""
        ...

    @property
    def end_tokens(self) -> tuple[int, ...]:
        """Ids that end the model's turn, the usual one first."""
        ...


def candidate_tokens(
    texts: Sequence[str], readout: Readout, talker: Talker, known: MutableMapping[str, Sequence[int]]
) -> list[Ids]:
    """Return the token ids by which each text is scored; ``known`` remembers those of single texts.

    Raises:
        ModelError: The tokenizer makes nothing of a text, or more than one token of a letter.
    """
    new = [text for text in texts if text not in known]
    known.update(zip(new, talker.tokenize(new), strict=True))
    candidates = [tuple(known[text]) for text in texts]
    for text, candidate in zip(texts, candidates, strict=True):
        if not candidate:
            raise ModelError(f"the model's tokenizer makes no token of {text!r}", hint="rename the label")
    if isinstance(readout, Letter):
        if any(len(candidate) != 1 for candidate in candidates[:1]):
            raise ModelError("the model's tokenizer has no single token for a letter", hint="use readout likelihood")
        return [candidate[:1] for candidate in candidates]
    assert isinstance(readout, Likelihood)
    if readout.normalise == "first":
        return [candidate[:1] for candidate in candidates]
    if readout.end == "never":
        return candidates
    return closed(candidates, talker.end_tokens[0], always=readout.end == "always")


def by_mean(readout: Readout) -> bool:
    """Whether a candidate's score is the mean over its tokens and not their sum."""
    return isinstance(readout, Likelihood) and readout.normalise == "mean"


def closed(candidates: Sequence[Ids], end: int, *, always: bool) -> list[Ids]:
    """Add the end token to every candidate, or just to those that begin another one.

    After it no candidate begins another, so their probabilities are those of disjoint events.
    """
    if always:
        return [(*candidate, end) for candidate in candidates]
    beginnings = {other[:length] for other in candidates for length in range(1, len(other))}
    return [(*candidate, end) if candidate in beginnings else candidate for candidate in candidates]


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """Return the length of the longest common beginning."""
    length = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        length += 1
    return length
