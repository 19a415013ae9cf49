"""Parsers of the ``text`` readout: from a raw reply to an option, or to none, or to invalid.

A parser is named and versioned because it changes accuracy: results name the parser that made them. None of them
matches substrings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from vlmkit.errors import UnknownNameError
from vlmkit.types import Ballot, Choose, Label, Outcome, Reply, Usage
from vlmkit.types.labels import NONE_NAME

Parser = Callable[[str, Mapping[str, Sequence[str]]], str | None]
"""Maps a reply and the accepted spellings of each answer to the answer's name, or to None for an invalid reply."""


def exact_raw_v1(reply: str, spellings: Mapping[str, Sequence[str]]) -> str | None:
    """Accept byte-exact equality alone; nothing is trimmed.

    Source: arXiv 2605.24799, release 0.4.0, ``exact-raw-string-v1``.
    """
    return _sole(name for name, accepted in spellings.items() if reply in accepted)


_PREFIX = re.compile(r"^\s*(?:the answer is|answer\s*:|a\s*:)\s*", re.IGNORECASE)


def whole_label_v1(reply: str, spellings: Mapping[str, Sequence[str]]) -> str | None:
    """Accept the whole label after removing a fixed prefix, one full stop and one pair of quotes, in any case.

    Two options that become equal that way make the reply invalid, unless one of them is met exactly.

    Source: arXiv 2605.24799, release 0.3.0.
    """
    reply = _PREFIX.sub("", reply).strip()
    reply = reply.removesuffix(".").strip()
    if len(reply) >= 2 and reply[0] == reply[-1] and reply[0] in "\"'`":
        reply = reply[1:-1].strip()
    return exact_raw_v1(reply, spellings) or _folded(reply, spellings)


def strip_casefold_v1(reply: str, spellings: Mapping[str, Sequence[str]]) -> str | None:
    """Accept the whole label after stripping blanks, quotes, backticks and full stops, in any case.

    Source: arXiv 2605.24799, release of June 2026.
    """
    return _folded(reply.strip(" \t\r\n\"'`."), spellings)


def _folded(reply: str, spellings: Mapping[str, Sequence[str]]) -> str | None:
    folded = reply.casefold()
    return _sole(
        name
        for name, accepted in spellings.items()
        if any(folded == spelling.strip().casefold() for spelling in accepted)
    )


def _sole(names: Iterable[str]) -> str | None:
    found = list(names)
    return found[0] if len(found) == 1 else None


PARSERS: Mapping[str, Parser] = MappingProxyType(
    {
        "exact-raw-v1": exact_raw_v1,
        "whole-label-v1": whole_label_v1,
        "strip-casefold-v1": strip_casefold_v1,
    }
)


def parser(name: str) -> Parser:
    """Return the parser of that name.

    Raises:
        UnknownNameError: No parser has that name.
    """
    if name not in PARSERS:
        raise UnknownNameError("parser", name, PARSERS)
    return PARSERS[name]


def ballot_from_reply(query: Choose, reply: str, *, prompt: str = "", usage: Usage | None = None) -> Ballot:
    """Return the ballot that a raw reply to ``query`` amounts to.

    The query's readout must be a ``Reply``. ``None`` counts only where the query allows it and no option has that name.
    """
    assert isinstance(query.readout, Reply)
    spellings = {option.name: _spellings(option, query.readout) for option in query.options}
    if query.allow_none:
        spellings.setdefault(NONE_NAME, (NONE_NAME,))
    name = parser(query.readout.parser)(reply, spellings)
    options = tuple(option.name for option in query.options)
    refused = Outcome.INVALID if name is None else Outcome.NONE
    outcome = Outcome.SELECTED if name in options else refused
    return Ballot(
        options=options,
        choice=name if outcome is Outcome.SELECTED else None,
        outcome=outcome,
        reply=reply,
        prompt=prompt,
        usage=usage or Usage(),
    )


def _spellings(option: Label, readout: Reply) -> tuple[str, ...]:
    return (option.name, *option.synonyms) if readout.synonyms else (option.name,)
