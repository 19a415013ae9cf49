"""Where servers are, and which of several is asked about what."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from attrs import frozen

from vlmkit.errors import SpecError

_BITS = 52  # of a hash; with one more, the largest would round to the probability 1


@frozen
class Address:
    """One server.

    Args:
        url: Where it is, mostly with ``/v1`` at its end.
        weight: How much of the work it gets beside others, more than 0.
    """

    url: str
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``URL`` or ``URL;weight=2``.

        Raises:
            SpecError: It is no http address, holds a secret, or the weight is no number above 0.
        """
        url, *options = (part.strip() for part in text.split(";"))
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SpecError(
                "adapter openai: base_url is no http address", hint="write base_url=http://127.0.0.1:8000/v1"
            )
        if parts.username or parts.password or parts.query:
            # The address is written to the run directory; it is not repeated here either.
            raise SpecError(
                "adapter openai: base_url holds a user, a password or a query",
                hint="give the bare address, and the key in the environment variable OPENAI_API_KEY",
            )
        return cls(url, _weight(options)) if options else cls(url)

    def __str__(self) -> str:
        return self.url if self.weight == 1 else f"{self.url};weight={self.weight:g}"


def addresses(base_url: str | Sequence[str]) -> tuple[Address, ...]:
    """Read the addresses of servers, also as one text with commas between them.

    Raises:
        SpecError: One of them is wrong, one stands twice, or there is none.
    """
    texts = base_url.split(",") if isinstance(base_url, str) else base_url
    found = tuple(map(Address.parse, texts))
    urls = [address.url for address in found]
    twice = next((url for url in urls if urls.count(url) > 1), None)
    if twice is not None:
        raise SpecError(f"adapter openai: base_url names {twice} twice", hint=f"write {twice};weight=2")
    if not found:
        raise SpecError("adapter openai: base_url is empty", hint="write base_url=http://127.0.0.1:8000/v1")
    return found


def ranked(servers: Iterable[Address], key: str) -> Sequence[Address]:
    """Return the servers in the order in which they are to be asked about ``key``.

    Each gets its share of the keys by weight. Without one server, the others keep their order, so only its keys move;
    a further one, or one with more weight, takes keys and moves no other.

    Source: rendezvous hashing (Thaler and Ravishankar, 1998), weighted (Schindelhauer and Schomaker, 2005): the
    exponential clock of each server, of its weight as rate, is wound by the key, and the first to ring is the first.
    """
    return sorted(servers, key=lambda server: (-math.log(_uniform(server.url, key)) / server.weight, server.url))


def _uniform(url: str, key: str) -> float:
    """Return a number above 0 and below 1, drawn by the hash of both."""
    drawn = int.from_bytes(hashlib.sha256(f"{url}\0{key}".encode()).digest()[:8], "big") >> (64 - _BITS)
    return math.ldexp(drawn + 0.5, -_BITS)


def _weight(options: Sequence[str]) -> float:
    name, _, value = options[0].partition("=")
    try:
        weight = float(value)
    except ValueError:
        weight = math.nan
    if len(options) > 1 or name.strip() != "weight" or not 0 < weight < math.inf:
        raise SpecError(
            f"adapter openai: {';'.join(options)!r} behind an address is no weight",
            hint="write URL;weight=2, with a number above 0",
        )
    return weight
