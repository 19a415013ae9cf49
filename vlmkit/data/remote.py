"""Fetching pictures from servers that nobody vouches for."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Timer
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from attrs import field, frozen
from attrs.validators import gt

from vlmkit.data.addresses import is_public, resolved
from vlmkit.errors import ImageError
from vlmkit.types import ImageUrl

_REDIRECTS = 5
_REDIRECTED = frozenset({301, 302, 303, 307, 308})
_CHUNK = 2**16

_AS_WRITTEN = "/%:@!$&'()*+,;=~?[]"
"""Characters of a path and a query that are not escaped once more."""


class _Refused(Exception):
    """Why a picture is not fetched, and what to do about it."""

    def __init__(self, message: str, hint: str = "fetch it yourself, or leave it out") -> None:
        super().__init__(message)
        self.hint = hint


def _lowered(hosts: Iterable[str]) -> frozenset[str]:
    return frozenset(map(str.lower, hosts))


@frozen
class Remote:
    """Fetches pictures over HTTP and HTTPS.

    A host's name is resolved once, each of its addresses is checked, and the connection goes to a checked address, so
    that a name server cannot give another one in between. Redirects are checked like the first address. No cookie, no
    password and no proxy is used.

    Args:
        hosts: Hosts, as ``HOST`` or ``HOST:PORT``, that alone may be asked, also where their addresses are not public;
            empty for all hosts whose addresses are public.
        seconds: Longest time for one picture, redirects included, from the first connection on.
    """

    hosts: frozenset[str] = field(default=frozenset(), converter=_lowered)
    seconds: float = field(default=30.0, validator=gt(0))

    def fetch(self, source: ImageUrl, *, name: str, most: int) -> bytes:
        """Return the bytes behind an address.

        Args:
            source: The address.
            name: What messages call the picture.
            most: Most bytes.

        Raises:
            ImageError: The address is refused, or its server gives no picture of that size in time.
        """
        deadline = time.monotonic() + self.seconds
        url = source.url
        try:
            for _ in range(_REDIRECTS + 1):
                content = self._get(url, deadline, most)
                if isinstance(content, bytes):
                    return content
                url = urljoin(url, content)
            raise _Refused(f"it is redirected more than {_REDIRECTS} times")
        except _Refused as refused:
            raise ImageError(name, f"{ImageUrl(url)}: {refused}", hint=refused.hint) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            late = time.monotonic() >= deadline
            reason = f"no answer in {self.seconds:g} s" if late else getattr(error, "strerror", None) or str(error)
            raise ImageError(
                name, f"{ImageUrl(url)} cannot be fetched ({reason or type(error).__name__})", hint="try again later"
            ) from error

    def _get(self, url: str, deadline: float, most: int) -> bytes | str:
        """Return the content, or the address that the server redirects to."""
        parts = urlsplit(url)
        with self._connected(parts, deadline) as connection:
            path = quote(f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}", safe=_AS_WRITTEN)
            connection.request("GET", path, headers={"Accept": "image/*", "User-Agent": "vlmkit"})
            with connection.getresponse() as response:
                if response.status in _REDIRECTED and (location := response.getheader("Location")):
                    return location
                if response.status != 200:
                    raise _Refused(f"the server answers {response.status}", "check the address")
                content = bytearray()
                while chunk := response.read1(_CHUNK):
                    content += chunk
                    if len(content) > most:
                        raise _Refused(f"it has more than {most:,} bytes", "fetch it yourself and compress it")
        if time.monotonic() >= deadline:
            raise TimeoutError
        return bytes(content)

    @contextmanager
    def _connected(self, parts: SplitResult, deadline: float) -> Iterator[http.client.HTTPConnection]:
        """Connect to one of the host's checked addresses; past the deadline the connection is cut."""
        addresses, port = self._checked(parts)
        connection = http.client.HTTPConnection(parts.hostname or "", port)
        with _first_reached(addresses, port, deadline) as plain, _tls(plain, parts) as connection.sock:
            if parts.scheme == "https":
                connection.default_port = http.client.HTTPS_PORT  # else the header Host names the port
            cut = Timer(max(0.0, deadline - time.monotonic()), _cut, (connection.sock,))
            cut.daemon = True
            cut.start()
            try:
                yield connection
            finally:
                cut.cancel()

    def _checked(self, parts: SplitResult) -> tuple[list[str], int]:
        """Return the addresses of the host and the port.

        Raises:
            _Refused: The address may not be fetched.
        """
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise _Refused("only http and https addresses are fetched")
        if parts.username is not None or parts.password is not None:
            raise _Refused("an address with a user or a password is not fetched")
        host = parts.hostname.lower()
        port = parts.port or (443 if parts.scheme == "https" else 80)
        listed = host in self.hosts or f"{host}:{port}" in self.hosts
        if self.hosts and not listed:
            raise _Refused(f"{host} is none of the allowed hosts", f"add --remote-host {host} if you trust it")
        addresses = resolved(host, port)
        hidden = [] if listed else [address for address in addresses if not is_public(address)]
        if hidden:
            raise _Refused(
                f"{host} has the address {hidden[0]}, which is not public",
                f"add --remote-host {host} if it is a server of yours",
            )
        return addresses, port


def _first_reached(addresses: Sequence[str], port: int, deadline: float) -> socket.socket:
    """Connect to the first address that answers.

    Raises:
        OSError: None does.
    """
    trouble = OSError("no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), max(0.001, deadline - time.monotonic()))
        except OSError as error:
            trouble = error
    raise trouble


def _tls(plain: socket.socket, parts: SplitResult) -> socket.socket:
    """Encrypt a connection to an https address, with a server that proves to be the host of that name.

    Raises:
        _Refused: It does not.
    """
    if parts.scheme == "http":
        return plain
    try:
        return ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname)
    except ssl.SSLCertVerificationError as error:
        raise _Refused(
            f"its certificate is refused ({error.verify_message.rstrip('.')})",
            "check the address; for a server of yours name a file with its authority in SSL_CERT_FILE",
        ) from None


def _cut(connected: socket.socket) -> None:
    """Shut a socket under whoever waits for it; the method of a TLS socket would not let him end in peace."""
    with suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
