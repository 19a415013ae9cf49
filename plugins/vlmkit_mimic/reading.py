"""Reading numbers and class names out of a reply, whole words alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from attrs import frozen

from vlmkit_mimic.plurals import plural

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")

NUMBER_WORDS: Mapping[str, int] = {
    **{word: value for value, word in enumerate(_ONES)},
    **{word: 20 + 10 * place for place, word in enumerate(_TENS)},
    **{
        f"{tens}-{ones}": 20 + 10 * place + value
        for place, tens in enumerate(_TENS)
        for value, ones in enumerate(_ONES[1:10], start=1)
    },
}
"""English number words from zero to ninety-nine."""

_NUMBER = re.compile(
    r"(?<![\w.,])(\d+)(?![\w]|[.,]\d)|\b("
    + "|".join(sorted((word.replace("-", "[ -]") for word in NUMBER_WORDS), key=len, reverse=True))
    + r")\b",
    re.IGNORECASE,
)


def numbers(reply: str) -> list[tuple[int, re.Match[str]]]:
    """Return every whole number in a reply, in digits or in words, with where it stands."""
    return [
        (int(match[1]) if match[1] else NUMBER_WORDS[match[2].lower().replace(" ", "-")], match)
        for match in _NUMBER.finditer(reply)
    ]


@frozen(slots=False)
class Vocabulary:
    """The class names that a reply may use, each in the singular or the plural, in any case.

    Args:
        classes: The names.
    """

    classes: tuple[str, ...]

    def mentions(self, reply: str) -> Iterator[tuple[str, re.Match[str]]]:
        """Yield every class that a reply names, with where it stands; "hot dog" is no mention of "dog"."""
        for match in self._pattern.finditer(reply):
            yield self._forms[_folded(match[0])], match

    @cached_property
    def _forms(self) -> Mapping[str, str]:
        forms = {_folded(plural(name)): name for name in self.classes}
        return forms | {_folded(name): name for name in self.classes}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self._forms, key=len, reverse=True)
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(_spaced, longest_first))})(?!\w)", re.IGNORECASE)


def _folded(name: str) -> str:
    return " ".join(re.split(r"[\s_-]+", name.casefold()))


def _spaced(form: str) -> str:
    return r"[\s_-]+".join(map(re.escape, form.split(" ")))


def distinct(values: Iterable[int]) -> int | None:
    """Return the one value that all are, or None if there is none or they differ."""
    found = set(values)
    return found.pop() if len(found) == 1 else None
