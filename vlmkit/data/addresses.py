"""Which addresses of the network a picture may be fetched from."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""IPv6 addresses that stand for IPv4 ones (RFC 6052)."""

_METADATA = ipaddress.ip_address("168.63.129.16")
"""Azure's service for its own machines, which answers on an address that looks public."""


def is_public(text: str) -> bool:
    """Return whether an IP address belongs to the public network, and so do the IPv4 addresses that it holds.

    Private, loopback, link-local, multicast and reserved ones do not, nor do those where clouds keep the secrets of a
    machine.
    """
    address = ipaddress.ip_address(text)
    return all(one.is_global and not one.is_multicast and one != _METADATA for one in _meant(address))


def resolved(host: str, port: int) -> list[str]:
    """Return every IP address of a host.

    Raises:
        OSError: It has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _meant(address: Address) -> Iterator[Address]:
    """Yield an address, or the IPv4 addresses that packets to it end at."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _TRANSLATED:
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.ipv4_mapped is None:
            yield address
        yield from (one for one in inner if one is not None)
    else:
        yield address
