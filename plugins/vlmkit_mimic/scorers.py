"""From a reply to a score: ``strict``, which reads it carefully, and ``published``, the released rules as they are."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from attrs import frozen

from vlmkit_mimic.benchmark import Item
from vlmkit_mimic.reading import NUMBER_WORDS, Vocabulary, distinct, numbers


@frozen
class Score:
    """How right one reply is.

    Args:
        right: Whether it is the right answer, for Listing the whole right set and nothing else.
        hits: Right names that it gives.
        named: Names that it gives, right or wrong.
        wanted: Names in the right answer.
    """

    right: bool
    hits: int
    named: int
    wanted: int

    @classmethod
    def single(cls, right: bool) -> Score:
        """Return the score of a reply that is right or wrong and nothing between."""
        return cls(right, int(right), 1, 1)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall, from 0 to 1."""
        return 2 * self.hits / (self.named + self.wanted)


Scorer = Callable[[Item, str, Vocabulary], Score | None]
"""From an item, a reply and the class names to a score; None where the rules say nothing about such an item."""


def strict(item: Item, reply: str, vocabulary: Vocabulary) -> Score:
    """Read numbers and names as whole words, number words and plurals included.

    Counting: the number beside the class if there is one, else the only number of the reply; two that differ are
    wrong. With several classes each needs its own, or the reply has one number a class, in the order asked.
    Common and Odd-One: the reply names the class and no other. Listing: the set of names; what is no name counts as a
    wrong one.
    """
    if item.task == "counting":
        return Score.single(_counts(item, reply, vocabulary) == [*item.answer.values()])
    named = {name for name, _ in vocabulary.mentions(reply)}
    if item.task == "listing":
        hits = len(named & item.answer.keys())
        strange = _strange_pieces(reply, vocabulary)
        return Score(named == item.answer.keys() and not strange, hits, len(named) + strange, len(item.answer))
    return Score.single(named == item.answer.keys())


def published(item: Item, reply: str, vocabulary: Vocabulary) -> Score | None:
    """Apply the released rules, with their leniency and their severity.

    Counting: without punctuation the reply is a number or a number word, else its first run of digits counts; the rules
    know one number, so there is no score for several classes. Common and Odd-One: the class is a substring of the
    reply. Listing: pieces between ", " that equal a name; repeated ones count as named again.

    Source: the evaluation code released with MIMIC, commit dc19c82.
    """
    if item.task == "counting":
        return Score.single(_released_number(reply) == item.gt) if len(item.answer) == 1 else None
    if item.task == "listing":
        pieces, wanted = reply.lower().split(", "), item.gt.lower().split(", ")
        hits = len({*pieces} & {*wanted})
        return Score({*pieces} == {*wanted}, hits, len(pieces), len(wanted))
    return Score.single(item.gt.lower() in reply.lower())


SCORERS: Mapping[str, Scorer] = MappingProxyType({"strict": strict, "published": published})
"""The scorers by name; the first one is the default."""


def _counts(item: Item, reply: str, vocabulary: Vocabulary) -> Sequence[int | None]:
    """Return the number that a reply gives for each class of the answer; None for none or for several."""
    found = numbers(reply)
    beside: dict[str, list[int]] = {name: [] for name in item.answer}
    for name, mention in vocabulary.mentions(reply):
        if name in beside:
            beside[name] += _beside(reply, mention, found)
    if any(beside.values()):
        return [distinct(values) for values in beside.values()]
    values = [value for value, _ in found]
    if len(item.answer) == 1:
        return [distinct(values)]
    return values if len(values) == len(item.answer) else [None]


_NONE_BEFORE = re.compile(r"\bno $", re.IGNORECASE)
_ONE_BEFORE = re.compile(r"\ban? $", re.IGNORECASE)
_BETWEEN = re.compile(r"\s*(?:[:=-]|\b(?:is|are)\b|\()?\s*")


def _beside(reply: str, mention: re.Match[str], found: Sequence[tuple[int, re.Match[str]]]) -> list[int]:
    """Return the number right before a name, as in "3 dogs", or else the one right after, as in "dogs: 3"."""
    before = [value for value, match in found if reply[match.end() : mention.start()] == " "]
    if before:
        return before
    if _NONE_BEFORE.search(reply, 0, mention.start()):
        return [0]
    if _ONE_BEFORE.search(reply, 0, mention.start()):
        return [1]
    return [
        value
        for value, match in found
        if match.start() > mention.end() and _BETWEEN.fullmatch(reply, mention.end(), match.start())
    ]


_SEPARATORS = re.compile(r"[,;\n•]|\band\b|\.(?:\s|$)")
_EMPTY_WORDS = re.compile(r"\b(?:a|an|the|also|none|nothing|no|etc|or)\b|[\W\d_]", re.IGNORECASE)


def _strange_pieces(reply: str, vocabulary: Vocabulary) -> int:
    """Count the pieces of an enumeration that name no class; a lead-in before a colon is none."""
    known, last = [], 0
    for _, mention in vocabulary.mentions(reply):
        known += [reply[last : mention.start()], "\0"]
        last = mention.end()
    marked = "".join([*known, reply[last:]])
    pieces = (piece.rpartition(":")[2] for piece in _SEPARATORS.split(marked))
    return len({rest.casefold() for piece in pieces if "\0" not in piece and (rest := _EMPTY_WORDS.sub("", piece))})


def _released_number(reply: str) -> str | None:
    text = reply.translate(str.maketrans("", "", string.punctuation)).strip()
    if text.isdecimal():
        return str(int(text))
    if text.lower() in NUMBER_WORDS:
        return str(NUMBER_WORDS[text.lower()])
    digits = re.search(r"\d+", text)
    return None if digits is None else str(int(digits[0]))
