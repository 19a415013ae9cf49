"""One server of several: whether it is in use, and what it did."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from attrs import define, field

from vlmkit.errors import ServerError
from vlmkit_adapters.openai.addresses import Address
from vlmkit_adapters.openai.caller import Caller, RefusedError, Reply, Trouble
from vlmkit_adapters.openai.patience import retry_after

STRIKES = 3
"""Failures in a row after which a server is left out; being overloaded is none."""

T = TypeVar("T")


@define(eq=False)
class Server:
    """One server of a fleet.

    Args:
        address: Where it is.
        caller: The connection to it, with a gate of its own.
        trouble: What went wrong with it last, or an empty string.
        out: Whether it is left out until it passes a check.
        resting_until: When the wait ends that it asked for, in seconds of ``time.monotonic``.
        strikes: Failures in a row.
        queries: Requests that it answered.
        errors: Requests that failed.
        seconds: How long all of them took, waits at the gate left out.
    """

    address: Address
    caller: Caller = field(repr=False)
    trouble: str = field(default="", init=False)
    out: bool = field(default=False, init=False)
    resting_until: float = field(default=0.0, init=False)
    strikes: int = field(default=0, init=False)
    queries: int = field(default=0, init=False)
    errors: int = field(default=0, init=False)
    seconds: float = field(default=0.0, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    @property
    def rest(self) -> float:
        """Seconds for which it still wants to be left alone."""
        return max(0.0, self.resting_until - time.monotonic())

    @property
    def usable(self) -> bool:
        """Whether requests go to it just now."""
        return not self.out and not self.rest

    def attempt(self, body: Mapping[str, Any], read: Callable[[Any], T], retry: int) -> Reply[T] | Trouble | None:
        """Send one request once it has a place; None where the server went out of use while it waited.

        Raises:
            RefusedError: The server refuses this one request.
        """
        with self.caller.gate.entered() as passage:
            if not self.usable:
                return None
            begun = time.monotonic()
            try:
                outcome = self.caller.send(passage, body, read, retry)
            except RefusedError:
                self._note(begun, None, failed=True)
                raise
            except ServerError as error:  # it may have been started anew, as another
                outcome = Trouble(error.message)
                self.strikes = STRIKES
            self._note(begun, outcome if isinstance(outcome, Trouble) else None, failed=isinstance(outcome, Trouble))
            return outcome

    def _note(self, begun: float, trouble: Trouble | None, *, failed: bool) -> None:
        with self._lock:
            self.seconds += time.monotonic() - begun
            self.queries += not failed
            self.errors += failed
            if trouble is None:
                self.strikes = 0
                return
            self.trouble = trouble.message
            asked = retry_after(trouble.headers)
            if asked is not None:
                self.resting_until = max(self.resting_until, time.monotonic() + asked)
            elif not trouble.busy:
                self.strikes += 1
