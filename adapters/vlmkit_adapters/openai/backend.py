"""The door for queries: a backend over a server."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from attrs import define, evolve, field
from attrs.validators import ge, gt

from vlmkit import (
    Answer,
    Capability,
    Choose,
    Encode,
    Failed,
    Generate,
    Image,
    Letter,
    Likelihood,
    Query,
    Reply,
    Text,
    Usage,
)
from vlmkit.errors import ServerError
from vlmkit.parsers import ballot_from_reply
from vlmkit.types.labels import NONE_NAME
from vlmkit_adapters.openai.addresses import Address, addresses
from vlmkit_adapters.openai.caller import Caller, RefusedError
from vlmkit_adapters.openai.fleet import Fleet
from vlmkit_adapters.openai.messages import data_url, messages
from vlmkit_adapters.openai.offers import (
    Choices,
    Length,
    Offers,
    Switch,
    choice_field,
    find_offers,
    letter_fields,
    named_fields,
)
from vlmkit_adapters.openai.prices import Prices
from vlmkit_adapters.openai.reading import (
    answers_to,
    exact_ballot,
    letter_ballot,
    named_log_probs,
    reply_text,
    top_log_probs,
    usage_of,
)
from vlmkit_adapters.openai.server import Server

_log = logging.getLogger(__name__)

_PICTURES_KEPT = 32


@define
class ServerBackend:
    """Answers queries through a server that speaks the OpenAI protocol, or through several with the same model.

    The key comes from the environment variable ``OPENAI_API_KEY``, which the official client reads; it is written
    nowhere. What the server offers is found out once, by at most nine short requests, unless the options say it.

    Args:
        model: The model's name on the server.
        base_url: The server, mostly with ``/v1`` at its end; or several, also in one text with commas between them,
            each with ``;weight=2`` behind it where it is to get twice the work.
        logprobs: Whether the server returns log-probabilities, for the readout ``letter``; ``auto`` asks it.
        token_ids: Whether the server returns the log-probabilities of named tokens, so that the readout ``letter`` is
            exact; ``auto`` asks it, ``yes`` ends the run where it gives no ids.
        choices: The field by which the server limits replies to the options, for the readout ``text``; ``auto`` asks.
        length: The field by which the server limits the length of replies; ``auto`` asks.
        greedy: Whether the server takes the temperature 0, so that replies are not left to chance; ``auto`` asks.
        concurrency: Most requests at once, to each server; how many there are depends on how it takes them.
        max_retries: Retries of one request; of several servers, how often all are gone through again.
        timeout: Longest wait for one reply, in seconds.
        prices: A JSON file of prices for a million tokens by model; see ``Prices``.
    """

    model: str
    base_url: tuple[Address, ...] = field(default="https://api.openai.com/v1", converter=addresses)
    logprobs: Switch = "auto"
    token_ids: Switch = "auto"
    choices: Literal["auto"] | Choices = "auto"
    length: Literal["auto"] | Length = "auto"
    greedy: Switch = "auto"
    concurrency: int = field(default=32, validator=ge(1))
    max_retries: int = field(default=5, validator=ge(0))
    timeout: float = field(default=120.0, validator=gt(0))
    prices: Path | None = None
    _prices: Prices | None = field(default=None, init=False, repr=False)
    _caller: Caller | Fleet | None = field(default=None, init=False, repr=False)
    _offers: Offers | None = field(default=None, init=False, repr=False)
    _pool: ThreadPoolExecutor | None = field(default=None, init=False, repr=False)
    _first_use: threading.RLock = field(factory=threading.RLock, init=False, repr=False)
    _url: Any = field(factory=lambda: lru_cache(_PICTURES_KEPT)(data_url), init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._prices = None if self.prices is None else Prices.read(self.prices, self.model)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Text, also drawn, several images and, unless told otherwise, letters; known without asking the server."""
        letter = {Capability.LETTER} if self.logprobs != "no" else set()
        return frozenset({Capability.GENERATE, Capability.SAMPLE, Capability.MULTI_IMAGE, *letter})

    @property
    def concurrent_calls(self) -> int:
        """As many as requests: the server makes its own batches of what is under way."""
        return self.concurrency * len(self.base_url)

    @property
    def identity(self) -> Mapping[str, Any]:
        """The server's address, the model's name there, and what the server offers, which is asked at the first use.

        Raises:
            ServerError: The server is out of reach, or refuses us.
        """
        offers = self.offers
        urls = [str(address) for address in self.base_url]
        return {
            "model": self.model,
            **({"base_url": self.base_url[0].url} if len(urls) == 1 else {"servers": urls}),
            "logprobs": offers.logprobs,
            "token_ids": bool(offers.token_ids),
            "choices": offers.choices,
            "greedy": offers.form.greedy,
        }

    def depends_on(self, query: Query) -> Mapping[str, Any] | None:
        """Nothing more, or chance: whether a server heeds a seed is not known, and some refuse the temperature 0.

        Raises:
            ServerError: The server is out of reach, or refuses us.
        """
        if isinstance(query, Choose) and isinstance(query.readout, Letter):
            return {}  # log-probabilities are read, whatever is drawn
        drawn = isinstance(query, Generate) and query.temperature > 0
        return None if drawn or not self.offers.form.greedy else {}

    @property
    def offers(self) -> Offers:
        """What the server can do beyond plain text.

        Raises:
            ServerError: The server is out of reach, or refuses us; of several, all are, or they differ.
        """
        with self._first_use:
            if self._offers is None:
                caller = self.caller
                self._offers = caller.offers if isinstance(caller, Fleet) else self._find_offers(caller)
                _log.info("%s offers %s", self._where, self._offers)
            return self._offers

    @property
    def caller(self) -> Caller | Fleet:
        """The connection to the server or the servers; made at the first use.

        Raises:
            ModelError: The package ``openai`` is not installed.
        """
        with self._first_use:
            if self._caller is None:
                callers = [
                    Caller(address.url, self.timeout, self.max_retries, self.concurrency) for address in self.base_url
                ]
                servers = [Server(address, caller) for address, caller in zip(self.base_url, callers, strict=True)]
                alone = len(callers) == 1
                self._caller = callers[0] if alone else Fleet(servers, self.model, self._find_offers, self.max_retries)
            return self._caller

    @property
    def pool(self) -> ThreadPoolExecutor:
        """Where requests wait for their replies; made at the first use."""
        with self._first_use:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.concurrent_calls)
            return self._pool

    def answer(self, queries: Sequence[Query]) -> Sequence[Answer]:
        """Answer every query, in order; ``Failed`` stands for one that failed after its retries.

        The first query about some images goes ahead of the others about them: once it is answered, the server has
        them in its prefix cache.

        Raises:
            ServerError: The server is gone, refuses us, or lacks what a readout needs.
        """
        self._check(queries)
        started = time.perf_counter()
        answers = dict(self._answered(queries, self.caller, self.pool))
        share = Usage(seconds=(time.perf_counter() - started) / max(1, len(queries)))
        return [evolve(answers[index], usage=answers[index].usage + share) for index in range(len(queries))]

    def models(self) -> Sequence[str]:
        """Return the names of the models that the server says it serves.

        Raises:
            BackendError: It gives no list.
        """
        return self.caller.models()

    def report(self) -> Sequence[str]:
        """Return what each of several servers did."""
        return self._caller.report() if isinstance(self._caller, Fleet) else ()

    def close(self) -> None:
        """Give up what waits, and close the connections."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
        if self._caller is not None:
            self._caller.close()
            self._caller = None
        self._url.cache_clear()

    @property
    def _where(self) -> str:
        return ", ".join(address.url for address in self.base_url)

    def _find_offers(self, caller: Caller) -> Offers:
        return find_offers(
            caller,
            self.model,
            length=self.length,
            greedy=self.greedy,
            logprobs=self.logprobs,
            token_ids=self.token_ids,
            choices=self.choices,
        )

    def _check(self, queries: Sequence[Query]) -> None:
        if any(isinstance(query, Encode) for query in queries):
            raise ServerError(f"{self._where} offers no features", hint="use a local model")
        offers = self.offers
        for query in queries:
            readout = query.readout if isinstance(query, Choose) else None
            if isinstance(readout, Likelihood) or (isinstance(readout, Letter) and not offers.logprobs):
                raise ServerError(
                    f"{self._where} does not offer the readout {readout.requires}", hint="use readout=text"
                )

    def _answered(
        self, queries: Sequence[Query], caller: Caller | Fleet, pool: ThreadPoolExecutor
    ) -> Iterator[tuple[int, Answer]]:
        groups: dict[tuple[Image, ...], list[int]] = {}
        for index, query in enumerate(queries):
            groups.setdefault(query.images, []).append(index)
        ahead = {pool.submit(self._ask, queries[first], caller): (first, rest) for first, *rest in groups.values()}
        others: dict[Future[Answer], int] = {}
        try:
            for future in as_completed(ahead):
                first, rest = ahead[future]
                yield first, future.result()
                others |= {pool.submit(self._ask, queries[index], caller): index for index in rest}
            for future in as_completed(others):
                yield others[future], future.result()
        finally:
            for future in (*ahead, *others):
                future.cancel()

    def _ask(self, query: Query, caller: Caller | Fleet) -> Answer:
        asker = caller.route(_subject(query)) if isinstance(caller, Fleet) else caller
        body = {
            "model": self.model,
            "messages": messages(query, [self._url(image) for image in query.images]),
            **self._readout_fields(query),
        }
        try:
            reply = asker.ask(body, lambda completion: self._read(query, completion))
        except RefusedError as error:
            return Failed(error, prompt=query.text, usage=Usage(queries=1, retries=error.retries))
        return evolve(reply.content, usage=reply.content.usage + Usage(retries=reply.retries))

    def _readout_fields(self, query: Query) -> Mapping[str, Any]:
        form = self.offers.form
        assert not isinstance(query, Encode)  # refused before
        if not isinstance(query, Choose):
            if query.temperature:
                return form.drawn_fields(query.max_tokens, query.temperature, query.seed)
            return form.fields(query.max_tokens)
        if not isinstance(query.readout, Reply):
            ids = self.offers.ids_of(answers_to(query))
            return {**form.fields(1), **(named_fields(ids) if ids else letter_fields())}
        fields = dict(form.fields(query.readout.max_tokens))
        if self.offers.choices != "none":
            texts = [option.name for option in query.options]
            if query.allow_none and NONE_NAME not in texts:
                texts.append(NONE_NAME)
            fields["extra_body"] = choice_field(self.offers.choices, texts)
        return fields

    def _read(self, query: Query, completion: Any) -> Answer:
        usage = usage_of(completion, self._prices)
        if not isinstance(query, Choose):
            return Text(reply_text(completion), prompt=query.text, usage=usage)
        if isinstance(query.readout, Reply):
            return ballot_from_reply(query, reply_text(completion), prompt=query.text, usage=usage)
        if ids := self.offers.ids_of(answers_to(query)):
            return exact_ballot(query, ids, named_log_probs(completion), usage)
        return letter_ballot(query, top_log_probs(completion), usage)


def _subject(query: Query) -> str:
    """Return what questions have in common that should go to one server, which then has it in its cache."""
    return " ".join(image.digest for image in query.images) or query.text
