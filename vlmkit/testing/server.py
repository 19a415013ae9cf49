"""An OpenAI-compatible server on this machine, with faults on request: for tests of clients."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from types import TracebackType
from typing import Any, Literal, Self

from attrs import define, field, frozen

from vlmkit.testing.chat import (
    Asked,
    ChoiceField,
    LengthField,
    Said,
    Tokenizer,
    answered_by,
    asked_in,
    by_word,
    completion,
    nonsense,
    picture_urls,
    returned_tokens,
)

__all__ = ["Asked", "FakeServer", "Fault", "Request", "Said", "answered_by", "by_word"]


@frozen
class Fault:
    """What goes wrong with one request.

    Args:
        kind: ``status`` answers with an error; ``slow`` answers late; ``cut`` closes the connection in the middle of
            the reply; ``malformed`` sends broken JSON; ``logprobs`` sends log-probabilities above 0, or no reply
            where none were asked for; ``death`` ends the server for good.
        status: HTTP status of ``status``.
        retry_after: The header Retry-After of ``status``, as it is sent.
        seconds: How late ``slow`` is.
        message: What the error of ``status`` says.
    """

    kind: Literal["status", "slow", "cut", "malformed", "logprobs", "death"]
    status: int = 500
    retry_after: str | None = None
    seconds: float = 1.0
    message: str = "out of order"


@frozen
class Request:
    """One request as it arrived.

    Args:
        at: When, in seconds of ``time.monotonic``.
        path: Its path.
        body: Its JSON body; empty for a GET.
        key: What it gave as its key, or None.
        fault: What went wrong with it, or None.
        at_once: Chat requests under way just then, itself included.
    """

    at: float
    path: str
    body: Mapping[str, Any] = field(repr=False)
    key: str | None = field(repr=False)
    fault: Fault | None
    at_once: int

    @property
    def picture_urls(self) -> tuple[str, ...]:
        """The data URLs of its pictures, in order."""
        return picture_urls(self.body)


@define
class FakeServer:
    """A server for one ``with`` block, on a free port of 127.0.0.1.

    Args:
        answer: Answers chat requests; ``answered_by`` makes it from a backend.
        model: The model's name; requests for others get 404.
        faults: What goes wrong with the first chat request, with the second, and so on; None is nothing.
        key: The key that is asked for, or None for no key.
        logprobs: Whether it gives log-probabilities; else it refuses requests for them, as a strict server does.
        tokenizer: What it tokenizes by at ``/tokenize``, as vLLM does, and so knows the tokens that a request for
            log-probabilities names; ``by_word`` is one. Without it such names are ignored, as a former vLLM does.
        choices: The field by which it limits replies; another is ignored, as a lenient server does.
        length: The one field by which it limits the length of replies, or None for either; it refuses the other.
        greedy: Whether it takes the temperature 0; else it refuses that.
        seconds: How long each answer takes.
        port: A port to listen at, or 0 for any.
    """

    answer: Callable[[Asked], Said]
    model: str = "fake"
    faults: Iterable[Fault | None] = field(factory=lambda: repeat(None))
    key: str | None = None
    logprobs: bool = True
    tokenizer: Tokenizer | None = None
    choices: ChoiceField | None = None
    length: LengthField | None = None
    greedy: bool = True
    seconds: float = 0.0
    port: int = 0
    requests: list[Request] = field(factory=list, init=False)
    dead: bool = field(default=False, init=False)
    _script: Iterator[Fault | None] = field(init=False, repr=False)
    _under_way: int = field(default=0, init=False)
    _seen: set[str] = field(factory=set, init=False, repr=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _http: _Http = field(init=False, repr=False)

    def __enter__(self) -> Self:
        self._script = iter(self.faults)
        self._http = _Http(("127.0.0.1", self.port), self)
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.die()

    @property
    def base_url(self) -> str:
        """The address that clients want, with ``/v1``."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def chats(self) -> Sequence[Request]:
        """The chat requests about pictures, in order of arrival."""
        return [
            request for request in self.requests if request.path.endswith("/chat/completions") and request.picture_urls
        ]

    def die(self) -> None:
        """Answer no more, and refuse connections."""
        with self._lock:
            dead, self.dead = self.dead, True
        if not dead:
            self._http.shutdown()
            self._http.server_close()

    def received(self, path: str, body: Mapping[str, Any], key: str | None) -> Fault | None:
        """Note a request; return what shall go wrong with it."""
        with self._lock:
            chat = path.endswith("/chat/completions")
            fault = next(self._script, None) if chat else None
            self._under_way += chat
            self.requests.append(Request(time.monotonic(), path, body, key, fault, self._under_way))
            return fault

    def finished(self) -> None:
        """Note the end of a chat request."""
        with self._lock:
            self._under_way -= 1

    def completed(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the completion that answers a chat request."""
        asked = asked_in(body, self.choices)
        time.sleep(self.seconds)
        said = self.answer(asked)
        urls = picture_urls(body)
        cached = sum(url in self._seen for url in urls)
        self._seen.update(urls)
        return completion(self.model, said, asked, returned_tokens(body, said.log_probs, self.tokenizer), cached)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], fake: FakeServer) -> None:
        self.fake = fake
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that hang up are part of what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        fake = self.server.fake
        self._receive({})
        if self.path.endswith("/models"):
            model = {"id": fake.model, "object": "model", "created": 0, "owned_by": "vlmkit"}
            self._send(200, {"object": "list", "data": [model]})
        else:
            self._refuse(404, "no such page")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fault = self._receive(body)
        if not self.path.endswith("/chat/completions"):
            self._tokenize(body)
            return
        try:
            send = self._reply(body, fault)
        finally:
            self.server.fake.finished()
        send()

    def _tokenize(self, body: Mapping[str, Any]) -> None:
        tokenizer = self.server.fake.tokenizer
        if tokenizer is None or self.path != "/tokenize":
            self._refuse(404, "no such page")
            return
        ids = list(tokenizer(body["prompt"]))
        self._send(200, {"count": len(ids), "max_model_len": 4096, "tokens": ids})

    def _receive(self, body: Mapping[str, Any]) -> Fault | None:
        fake = self.server.fake
        key = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        return fake.received(self.path, body, key)

    def _reply(self, body: Mapping[str, Any], fault: Fault | None) -> Callable[[], None]:
        """Work out the reply; return what sends it, once the request no longer counts as under way."""
        fake = self.server.fake
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if fault is not None and fault.kind == "death":
            fake.die()
        if fake.dead:
            return self._cut
        if fake.key is not None and key != fake.key:
            return partial(self._refuse, 401, f"Incorrect API key provided: {key}")
        if body.get("model") != fake.model:
            return partial(self._refuse, 404, f"The model {body.get('model')} does not exist")
        if fault is not None and fault.kind == "status":
            return partial(self._refuse, fault.status, fault.message, fault.retry_after)
        if body.get("logprobs") and not fake.logprobs:
            return partial(self._refuse, 422, "Unsupported fields in the request: {'logprobs'}")
        if fake.length is not None and fake.length not in body:
            return partial(self._refuse, 400, f"Unsupported parameter. Use '{fake.length}' instead.")
        if not fake.greedy and body.get("temperature") == 0:
            return partial(self._refuse, 400, "Unsupported value: 'temperature' does not support 0 with this model.")
        whole = fake.completed(body)
        content = json.dumps(whole).encode()
        if fault is None:
            return partial(self._send_bytes, 200, content)
        if fault.kind == "slow":
            time.sleep(fault.seconds)
            return partial(self._send_bytes, 200, content)
        if fault.kind == "malformed":
            return partial(self._send_bytes, 200, content[: len(content) // 2])
        if fault.kind == "cut":
            return partial(self._send_half, content)
        return partial(self._send, 200, nonsense(whole))

    def _refuse(self, status: int, message: str, retry_after: str | None = None) -> None:
        content = json.dumps({"error": {"message": message, "type": "fake", "code": None}}).encode()
        self._send_bytes(status, content, retry_after)

    def _send(self, status: int, value: Mapping[str, Any]) -> None:
        self._send_bytes(status, json.dumps(value).encode())

    def _send_bytes(self, status: int, content: bytes, retry_after: str | None = None) -> None:
        self._headers(status, len(content), retry_after)
        self.wfile.write(content)

    def _headers(self, status: int, length: int, retry_after: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.end_headers()

    def _send_half(self, content: bytes) -> None:
        self._headers(200, len(content))
        self.wfile.write(content[: len(content) // 2])
        self._cut()

    def _cut(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
