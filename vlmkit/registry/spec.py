"""The spec grammar: ``NAME[:key=value,...]``, wrappers joined by ``+``.

A value that holds a comma, a plus or a double quote stands in double quotes, a double quote in it is doubled::

    dci:group_size=20
    vote:permutations=5+dci:group_size=20,aggregator="topk:k=2,ties=keep"
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from attrs import field, frozen

from vlmkit.errors import SpecError
from vlmkit.types.tuples import as_tuple

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]*")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_\-]*")
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_BARE = re.compile(r'[^,+"]*')


def _pairs(options: Mapping[str, str] | Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(options.items() if isinstance(options, Mapping) else options)


@frozen
class Spec:
    """A name with options, as text; ``str()`` gives a text that parses back to the same spec.

    Args:
        name: Registered name.
        options: Pairs of key (underscores, no dashes) and value.
    """

    name: str
    options: tuple[tuple[str, str], ...] = field(default=(), converter=_pairs)

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Read one spec.

        Raises:
            SpecError: The text breaks the grammar, or holds a ``+``.
        """
        chain = Chain.parse(text)
        if len(chain.specs) != 1:
            raise SpecError(
                f"spec {text!r} joins several by '+'", hint="only strategies can be wrapped; quote the value"
            )
        return chain.specs[0]

    def __str__(self) -> str:
        if not self.options:
            return self.name
        return f"{self.name}:" + ",".join(f"{key}={_quote(value)}" for key, value in self.options)


@frozen
class Chain:
    """Specs joined by ``+``, the left one wraps the right one.

    Args:
        specs: Outermost first, at least one.
    """

    specs: tuple[Spec, ...] = field(converter=as_tuple)

    @classmethod
    def parse(cls, text: str) -> Chain:
        """Read a chain of specs.

        Raises:
            SpecError: The text breaks the grammar; the message points at the place.
        """
        chain, position = _parse_chain(text, 0)
        if position < len(text):
            optioned = chain.specs[-1].options
            raise _wrong(text, position + 1, "key=value") if optioned else _wrong(text, position, "'+' or the end")
        return chain

    @classmethod
    def parse_several(cls, text: str) -> tuple[Chain, ...]:
        """Read chains joined by commas; after a comma ``key=`` goes on with the options, a name begins another chain.

        Raises:
            SpecError: The text breaks the grammar; the message points at the place.
        """
        chains, position = [], -1
        while position < len(text):
            chain, position = _parse_chain(text, position + 1)
            chains.append(chain)
        return tuple(chains)

    def __str__(self) -> str:
        return "+".join(map(str, self.specs))


def _quote(value: str) -> str:
    if value == "" or any(character in value for character in ',+"') or value != value.strip():
        return '"' + value.replace('"', '""') + '"'
    return value


def _parse_chain(text: str, position: int) -> tuple[Chain, int]:
    """Read up to the end, or up to a comma behind which no option follows."""
    specs = []
    while True:
        spec, position = _parse_spec(text, position)
        specs.append(spec)
        if text[position : position + 1] != "+":
            return Chain(tuple(specs)), position
        position += 1


def _parse_spec(text: str, position: int) -> tuple[Spec, int]:
    match = _NAME.match(text, position)
    if match is None:
        raise _wrong(text, position, "a name")
    name, position = match.group(), match.end()
    options: dict[str, str] = {}
    separator = ":"
    while position < len(text) and text[position] == separator:
        match = _KEY.match(text, position + 1)
        if match is None or text[match.end() : match.end() + 1] != "=":
            if separator == ",":
                break
            raise _wrong(text, position + 1, "key=value")
        key = match.group().replace("-", "_")
        if key in options:
            raise SpecError(f"spec {text!r} gives {key} twice", hint="keep one")
        position = match.end() + 1
        if match := _QUOTED.match(text, position):
            value = match.group(1).replace('""', '"')
        else:
            match = _BARE.match(text, position)
            assert match is not None
            value = match.group().strip()
        options[key], position, separator = value, match.end(), ","
    if position < len(text) and text[position] not in "+,":
        raise _wrong(text, position, "',' or '+' or the end")
    return Spec(name, options), position


def _wrong(text: str, position: int, expected: str) -> SpecError:
    found = repr(text[position : position + 12]) if position < len(text) else "the end"
    return SpecError(
        f"spec {text!r}: expected {expected} at character {position + 1}, found {found}",
        hint="write NAME:key=value,key=value",
    )
