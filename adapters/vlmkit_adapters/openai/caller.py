"""One request to a server and, where it may help, the same again."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import define, field, frozen

from vlmkit.errors import BackendError, ModelError, ServerError
from vlmkit.redaction import HIDDEN, redacted
from vlmkit_adapters.openai.gate import Gate, Passage
from vlmkit_adapters.openai.patience import LONGEST_ASKED, is_overload, is_transient, wait_before

if TYPE_CHECKING:
    import openai

_NO_KEY = "no-key-is-set"

PLAIN = ({"role": "user", "content": "Say hello."},)
"""The messages of a question that any model can answer."""

CHECK_TIMEOUT = 10.0
"""Longest wait for the answer to a short question that asks whether the server is there, in seconds."""

T = TypeVar("T")

_log = logging.getLogger(__name__)

_FATAL = {
    401: "the key is missing or wrong; set the environment variable OPENAI_API_KEY",
    403: "the key may not use this; check its rights and the model's name",
    404: "check the model's name and base_url, which mostly ends in /v1",
}


class UnusableReplyError(Exception):
    """A reply arrived and makes no sense; asking again may help."""


class RefusedError(BackendError):
    """The server refuses this one request; ``retries`` were made before it did."""

    def __init__(self, message: str, *, retries: int, status: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retries, self.status = retries, status


@frozen
class Reply(Generic[T]):
    """What was read off the server's reply, and after how many retries."""

    content: T
    retries: int


@frozen
class Trouble:
    """Why one attempt failed.

    Args:
        message: In words.
        headers: Of the reply, with the wait that the server asked for.
        overload: Whether the server would do better with fewer requests at once.
        busy: Whether it said itself that there are too many, and is fine otherwise.
    """

    message: str
    headers: Mapping[str, str] = field(factory=dict)
    overload: bool = False
    busy: bool = False


@define
class Caller:
    """Sends chat requests through the official client, many at once, each as often as it takes.

    The client's own retries are off: they cannot tell the gate of an overload, count what they did, retry a malformed
    reply, or keep from repeating a 400 whose headers ask for it.

    Args:
        base_url: The server, mostly with ``/v1`` at its end.
        timeout: Longest wait for one reply, in seconds.
        max_retries: Retries of one request before it counts as failed.
        concurrency: Most requests under way at once.
        last_answer: When the server last answered, in seconds of ``time.monotonic``.
    """

    base_url: str
    timeout: float
    max_retries: int
    concurrency: int
    gate: Gate = field(init=False)
    _client: openai.OpenAI = field(init=False, repr=False)
    last_answer: float = field(default=0.0, init=False)
    _closing: threading.Event = field(factory=threading.Event, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.gate = Gate(self.concurrency)
        self._client = _connect(self.base_url, self.timeout, self._hang_up_late)

    def ask(self, body: Mapping[str, Any], read: Callable[[Any], T]) -> Reply[T]:
        """Send one chat request, again if need be, and read the reply.

        Args:
            body: Arguments of ``chat.completions.create``.
            read: Reads the completion; raises ``UnusableReplyError`` where it makes no sense.

        Raises:
            RefusedError: This request is refused, or failed after all retries.
            ServerError: The server answers nothing any more, or refuses us as a whole.
        """
        sent, trouble = 0.0, Trouble("never sent")
        for retry in range(self.max_retries + 1):
            if retry:
                wait = wait_before(retry, trouble.headers)
                if wait > LONGEST_ASKED:
                    message = f"{trouble.message}, and asks to wait {wait:,.0f} s"
                    raise _given_up(message, retry - 1, alone=self._answers(body, read, sent))
                _log.info("%s; retry %d of %d in %.1f s", trouble.message, retry, self.max_retries, wait)
                if self._closing.wait(wait):
                    raise RefusedError("interrupted", retries=retry - 1)
            sent = time.monotonic()
            attempt = self._attempt(body, read, retry)
            if not isinstance(attempt, Trouble):
                return attempt
            trouble = attempt
        message = f"{trouble.message}, {self.max_retries + 1} times running"
        raise _given_up(message, self.max_retries, alone=self._answers(body, read, sent))

    def models(self) -> Sequence[str]:
        """Return the names in the server's list of models.

        Raises:
            BackendError: It gives no list.
        """
        import openai

        try:
            return [model.id for model in self._client.models.list()]
        except (openai.OpenAIError, ValueError, AttributeError) as error:
            raise BackendError(f"{self.base_url} gives no list of models ({self._clean(str(error))})") from error

    def tokenize(self, model: str, text: str) -> Sequence[int]:
        """Return the ids of a text's tokens, nothing added, as vLLM's page ``/tokenize`` beside ``/v1`` gives them.

        Raises:
            BackendError: It gives none.
        """
        import openai

        url = self.base_url.rstrip("/").removesuffix("/v1") + "/tokenize"
        body = {"model": model, "prompt": text, "add_special_tokens": False}
        try:
            # The client's own retries are good enough for a page that is asked for once, before anything else is.
            page: Any = self._client.post(url, cast_to=object, body=body, options={"max_retries": self.max_retries})
            return [int(token) for token in page["tokens"]]
        except (openai.OpenAIError, ValueError, KeyError, TypeError) as error:
            raise BackendError(f"{url} gives no ids of tokens ({self._clean(str(error))})") from error

    def close(self) -> None:
        """Give up whatever waits, and close the connections."""
        self._closing.set()
        self._client.close()

    def check(self, model: str) -> Trouble | None:
        """Put a short question, whatever the gate says; return why there is no answer, or None if there is one.

        A server that refuses the question, or has too many others, is there.

        Raises:
            ServerError: The server refuses us as a whole.
        """
        client = self._client.with_options(timeout=min(self.timeout, CHECK_TIMEOUT))
        try:
            outcome = self._sent(client, {"model": model, "messages": PLAIN, "max_tokens": 1}, lambda reply: reply, 0)
        except RefusedError:
            return None
        return outcome if isinstance(outcome, Trouble) and not outcome.busy else None

    def send(
        self, passage: Passage, body: Mapping[str, Any], read: Callable[[Any], T], retry: int
    ) -> Reply[T] | Trouble:
        """Send one chat request, once, and tell the gate how it went.

        Args:
            passage: Its place at the gate.
            body: As for ``ask``.
            read: As for ``ask``.
            retry: How often it was sent before.

        Raises:
            RefusedError: This request is refused.
            ServerError: The server refuses us as a whole.
        """
        outcome = self._sent(self._client, body, read, retry)
        if isinstance(outcome, Reply):
            passage.succeeded()
        elif outcome.overload:
            passage.overloaded()
        return outcome

    def _hang_up_late(self, response: Any) -> None:
        """Close a connection that was not there yet when the others were closed; nobody else knows of it."""
        if self._closing.is_set():
            response.extensions["network_stream"].close()

    def _attempt(self, body: Mapping[str, Any], read: Callable[[Any], T], retry: int) -> Reply[T] | Trouble:
        with self.gate.entered() as passage:
            return self.send(passage, body, read, retry)

    def _sent(
        self, client: openai.OpenAI, body: Mapping[str, Any], read: Callable[[Any], T], retry: int
    ) -> Reply[T] | Trouble:
        import openai

        try:
            reply = Reply(read(client.chat.completions.create(**body)), retry)
        except openai.APIStatusError as error:
            return self._status(error, retry)
        except openai.APITimeoutError:
            return Trouble(f"{self.base_url} gave no reply in {client.timeout:g} s", overload=True)
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            return Trouble(f"the connection to {self.base_url} failed ({self._clean(str(cause))})")
        except (openai.APIResponseValidationError, json.JSONDecodeError, UnusableReplyError) as error:
            return Trouble(f"{self.base_url} sent a reply that makes no sense ({self._clean(str(error))})")
        self.last_answer = time.monotonic()
        return reply

    def _status(self, error: openai.APIStatusError, retry: int) -> Trouble:
        status = error.status_code
        message = f"{self.base_url} answered {status} ({self._clean(_words(error))})"
        if status in _FATAL:
            raise ServerError(message, hint=_FATAL[status])
        if not is_transient(status):
            raise RefusedError(message, retries=retry, status=status)
        return Trouble(message, error.response.headers, overload=is_overload(status), busy=status == 429)

    def _answers(self, body: Mapping[str, Any], read: Callable[[Any], T], since: float) -> bool:
        """Return whether the server answers anything: it has since then, or it answers this request now.

        The request goes out with a plain question, as its own may be too much for a server that is fine otherwise.
        """
        if self.last_answer >= since:
            return True
        try:
            return not isinstance(self._attempt({**body, "messages": PLAIN}, read, 0), Trouble)
        except RefusedError:
            return True

    def _clean(self, message: str) -> str:
        """Return a server's words in one short line without the key, which some servers repeat, and other secrets."""
        key = self._client.api_key or _NO_KEY
        return " ".join(redacted(message.replace(key, HIDDEN)).split())[:300]


def _given_up(message: str, retries: int, *, alone: bool) -> RefusedError | ServerError:
    """Return the error for a request that is not sent again, ``alone`` or as one of all."""
    if alone:
        return RefusedError(message, retries=retries)
    return ServerError(message, hint="see to the server; the same command goes on from here")


def _words(error: openai.APIStatusError) -> str:
    """Return what a server says about an error: ``message`` is the protocol's field, ``detail`` that of FastAPI."""
    said = error.body
    if isinstance(said, Mapping):
        said = said.get("message") or said.get("detail")
    return str(said or error.message)


def _connect(base_url: str, timeout: float, on_response: Callable[[Any], None]) -> openai.OpenAI:
    try:
        import openai
    except ImportError:
        raise ModelError(
            "the adapter openai needs the package openai", hint="run: pip install 'vlmkit[openai]'"
        ) from None
    http = openai.DefaultHttpxClient(event_hooks={"response": [on_response]})
    connect = partial(openai.OpenAI, base_url=base_url, timeout=timeout, max_retries=0, http_client=http)
    try:
        return connect()
    except openai.OpenAIError:  # no key in the environment: servers of one's own mostly ask for none
        return connect(api_key=_NO_KEY)
