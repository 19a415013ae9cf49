"""What tests of the adapter ``openai`` share: a server with a scripted model behind it, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from vlmkit.testing.server import FakeServer, answered_by
from vlmkit_adapters.openai import ServerBackend
from vlmkit_adapters.scripted import ScriptedBackend

SCRIPTED = ScriptedBackend(accuracy=0.8, none_rate=0.05)

FORCED = {"logprobs": "yes", "token_ids": "no", "choices": "none", "length": "max_tokens", "greedy": "yes"}
"""Options that leave nothing to ask the server about."""

KEY = "sk-very-secret-0123456789"


def serving(**settings: Any) -> FakeServer:
    """Return a server, to be entered, that the scripted model answers for."""
    return FakeServer(**{"answer": answered_by(SCRIPTED), **settings})


@contextmanager
def connecting(**common: Any) -> Iterator[Callable[..., ServerBackend]]:
    """Give a function that opens backends on servers with these options and others; close them all at the end."""
    opened: list[ServerBackend] = []

    def connect(*servers: FakeServer, **options: Any) -> ServerBackend:
        urls = [server.base_url for server in servers]
        opened.append(ServerBackend(servers[0].model, urls, **{**common, **options}))
        return opened[-1]

    try:
        yield connect
    finally:
        for backend in opened:
            backend.close()
