"""Several servers of one model: each image has its own, and another where that one fails."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, TypeVar

from attrs import define, field, fields, frozen

from vlmkit.errors import BackendError, ServerError
from vlmkit_adapters.openai.addresses import ranked
from vlmkit_adapters.openai.caller import Caller, RefusedError, Reply, Trouble
from vlmkit_adapters.openai.offers import Offers
from vlmkit_adapters.openai.patience import LONGEST_ASKED, wait_before
from vlmkit_adapters.openai.server import STRIKES, Server

_LONGEST_ROW = 16
"""Failed checks in a row beyond which the wait before the next grows no more."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


@define(eq=False)
class Fleet:
    """Sends each request to the server that its images belong to; to the next one where that fails.

    A server that fails several times in a row is left out, and its images go to the next in their order; a short
    question at growing distances finds out when it is back. One that asks for a wait gets no request until it is over.

    Args:
        servers: Them, at least two.
        model: The model's name on all of them.
        find: Finds out what one server offers.
        max_retries: How often all servers are gone through again for one request.
    """

    servers: Sequence[Server]
    model: str
    find: Callable[[Caller], Offers]
    max_retries: int
    _offers: Offers | None = field(default=None, init=False)
    _closing: threading.Event = field(factory=threading.Event, init=False, repr=False)
    _lock: threading.RLock = field(factory=threading.RLock, init=False, repr=False)

    @property
    def offers(self) -> Offers:
        """What all servers offer; asked once, of those that answer. Those that do not are left out.

        Raises:
            ServerError: None answers, one refuses us, or they offer different things.
        """
        with self._lock:
            if self._offers is None:
                self._offers = self._begin()
            return self._offers

    def route(self, key: str) -> Route:
        """Return the way of requests that belong together."""
        of = {server.address: server for server in self.servers}
        return Route(self, [of[address] for address in ranked(of, key)])

    def attempt(
        self, server: Server, body: Mapping[str, Any], read: Callable[[Any], T], retry: int
    ) -> Reply[T] | Trouble | None:
        """Send a request to one server; leave it out where it has failed often enough.

        Raises:
            RefusedError: The server refuses this one request.
        """
        outcome = server.attempt(body, read, retry)
        if isinstance(outcome, Trouble):
            _log.info("%s; failure %d of this request", outcome.message, retry + 1)
            if server.strikes >= STRIKES:
                self._leave_out(server)
        return outcome

    def wait(self, round: int, retries: int) -> None:
        """Wait before the servers are gone through again.

        Args:
            round: Number of the repetition, from 1.
            retries: How often the request was sent again so far.

        Raises:
            RefusedError: All servers in use ask for a wait that nobody has time for, or the fleet is closed.
        """
        rests = [server.rest for server in self.servers if not server.out]
        seconds = min(rests, default=0.0) or wait_before(round, {})
        if seconds > LONGEST_ASKED:
            raise RefusedError(f"all servers in use ask to wait, the shortest {seconds:,.0f} s", retries=retries)
        if self._closing.wait(seconds):
            raise RefusedError("interrupted", retries=retries)

    def answers(self, since: float) -> bool:
        """Return whether any server has answered anything since then, or answers a short question now."""
        return any(server.caller.last_answer >= since or self._check(server) for server in self.servers)

    def models(self) -> Sequence[str]:
        """Return the names in the servers' lists of models.

        Raises:
            BackendError: None gives a list.
        """
        names: dict[str, None] = {}
        errors: list[BackendError] = []
        for server in self.servers:
            try:
                names |= dict.fromkeys(server.caller.models())
            except BackendError as error:
                errors.append(error)
        if len(errors) == len(self.servers):
            raise errors[0]
        return list(names)

    def report(self) -> Sequence[str]:
        """Return what each server did, one line each; nothing where this process asked none of them."""
        if not any(server.queries or server.errors for server in self.servers):
            return ()
        return [
            f"{server.address.url}: {server.queries:,} queries, {server.errors:,} errors, {server.seconds:,.1f} s"
            for server in self.servers
        ]

    def failure(self) -> ServerError:
        """Return the error that ends it all, with what went wrong with each server."""
        troubles = ", ".join(server.trouble or f"{server.address.url} asks to wait" for server in self.servers)
        return ServerError(
            f"none of the {len(self.servers)} servers answers: {troubles}",
            hint="see to the servers; the same command goes on from here",
        )

    def close(self) -> None:
        """Give up whatever waits, and close the connections."""
        self._closing.set()
        for server in self.servers:
            server.caller.close()

    def _begin(self) -> Offers:
        with ThreadPoolExecutor(len(self.servers)) as pool:
            troubles = list(pool.map(lambda server: server.caller.check(self.model), self.servers))
            for server, trouble in zip(self.servers, troubles, strict=True):
                server.trouble = trouble.message if trouble else ""
            there = [server for server in self.servers if not server.trouble]
            if not there:
                raise self.failure()
            first, *others = pool.map(lambda server: self.find(server.caller), there)
        for server, offers in zip(there[1:], others, strict=True):
            if differing := _differing(first, offers):
                raise ServerError(
                    f"{there[0].address.url} and {server.address.url} differ in {differing}",
                    hint="start the servers alike, or say what to use by logprobs=, token_ids=, choices=, length= and "
                    "greedy=",
                )
        self._offers = first
        for server in self.servers:
            if server.trouble:
                self._leave_out(server)
        return first

    def _leave_out(self, server: Server) -> None:
        with self._lock:
            if server.out or self._closing.is_set():
                return
            server.out = True
        _log.warning("%s; it is left out, and its images go to the other servers", server.trouble)
        threading.Thread(target=self._watch, args=(server,), name="vlmkit-watch", daemon=True).start()

    def _watch(self, server: Server) -> None:
        """Check on a server at growing distances until it is back."""
        for failed in count(1):
            if self._closing.wait(wait_before(min(failed, _LONGEST_ROW), {})) or not server.out or self._check(server):
                return

    def _check(self, server: Server) -> bool:
        """Return whether a server can be asked; one that was left out then takes part again."""
        try:
            trouble = server.caller.check(self.model)
            if trouble is None and server.out:
                differing = _differing(self.offers, self.find(server.caller))
                trouble = Trouble(f"{server.address.url} now differs in {differing}") if differing else None
        except (BackendError, ServerError) as error:
            trouble = Trouble(error.message)
        if trouble is not None:
            server.trouble = trouble.message
            return False
        with self._lock:
            back, server.out, server.strikes = server.out, False, 0
        if back:
            _log.warning("%s answers again", server.address.url)
        return True


@frozen
class Route:
    """The servers in the order in which they are asked about something.

    Args:
        fleet: Whose they are.
        order: All of them.
    """

    fleet: Fleet
    order: Sequence[Server]

    def ask(self, body: Mapping[str, Any], read: Callable[[Any], T]) -> Reply[T]:
        """Send one chat request to the first server in use; where it fails, to the next ones, and again to all.

        Args:
            body: Arguments of ``chat.completions.create``.
            read: Reads the completion; raises ``UnusableReplyError`` where it makes no sense.

        Raises:
            RefusedError: This request is refused, or failed after all retries.
            ServerError: No server answers anything any more.
        """
        failures: list[Trouble] = []
        while not failures:  # what was never sent, because all servers were left out just then, has not failed
            for round in range(self.fleet.max_retries + 1):
                if round:
                    self.fleet.wait(round, max(0, len(failures) - 1))
                since = time.monotonic()
                for server in self.order:
                    outcome = self.fleet.attempt(server, body, read, len(failures)) if server.usable else None
                    if isinstance(outcome, Reply):
                        return outcome
                    if outcome is not None:
                        failures.append(outcome)
            if not self.fleet.answers(since):
                raise self.fleet.failure()
        message = f"{failures[-1].message}, the last of {len(failures)} failures"
        raise RefusedError(message, retries=len(failures) - 1)


def _differing(one: Offers, other: Offers) -> str:
    """Return the names of what two servers do not offer alike."""
    return ", ".join(
        attribute.name for attribute in fields(Offers) if getattr(one, attribute.name) != getattr(other, attribute.name)
    )
