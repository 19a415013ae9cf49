"""Parsers of replies that name an option by its letter. Named and versioned, as those of ``vlmkit.parsers`` are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from vlmkit_hierarchy.bank import LETTERS

_ANCHORED = re.compile(
    r"""\s*
    (?i:(?:the\s+)?(?:correct\s+|right\s+)?(?:answer|option)(?:\s+is)?\s*:?\s*)?  # "The answer is", "Answer:"
    [*_("'\[]*
    ([A-Z])
    [*_)"'\]]*
    \s*(?:[.:),].*)?$  # nothing else, or what it stands for: "B. barn owl"
    """,
    re.VERBOSE | re.DOTALL,
)


def letter_anchored_v1(reply: str, options: int) -> int | None:
    """Accept a capital letter that the reply begins with and that stands alone.

    "The answer is" and the like may come before it, brackets, quotes and asterisks around it. After it comes the end,
    or a full stop, colon, bracket or comma with anything behind. So "A" and "(B) barn owl" are letters, and the first
    word of "A barn owl" is none.
    """
    match = _ANCHORED.match(reply)
    return None if match is None else _place(match[1], options)


def first_letter_anywhere_v1(reply: str, options: int) -> int | None:
    """Accept the first of the options' letters, A before B and so on, that occurs anywhere in the reply.

    It reads "Answer: C" as A. It is there to compare with published figures.

    Source: the code of arXiv 2505.24840.
    """
    return next((place for place, letter in enumerate(LETTERS[:options]) if letter in reply), None)


LetterParser = Callable[[str, int], int | None]

LETTER_PARSERS: Mapping[str, LetterParser] = MappingProxyType(
    {"letter-anchored-v1": letter_anchored_v1, "first-letter-anywhere-v1": first_letter_anywhere_v1}
)
"""From a reply and the number of options to the place of the option that it names, or None."""


def _place(letter: str, options: int) -> int | None:
    place = LETTERS.index(letter)
    return place if place < options else None
