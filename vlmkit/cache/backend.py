"""A backend that asks another one only what was not answered before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, field, frozen

from vlmkit.cache.keys import Keys
from vlmkit.cache.store import AnswerStore
from vlmkit.cache.values import from_bytes, to_bytes
from vlmkit.contracts import Backend, Concurrent, Prepares, Reports
from vlmkit.errors import BackendError
from vlmkit.types import Answer, Capability, Failed, Image, Query, Usage

_REPLAYED = Usage(queries=1, cached=1)


@frozen
class CachedBackend:
    """Answers from a store what is there, and lets another backend answer the rest.

    Args:
        backend: Who answers what is not in the store.
        store: Where answers are kept; its opener closes it.
    """

    backend: Backend
    store: AnswerStore
    _keys: Keys = field(init=False, repr=False)

    @_keys.default
    def _keys_of_backend(self) -> Keys:
        return Keys(self.backend)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Those of the other backend."""
        return self.backend.capabilities

    @property
    def identity(self) -> Mapping[str, Any]:
        """That of the other backend: where an answer comes from changes nothing about it."""
        return self.backend.identity

    def answer(self, queries: Sequence[Query]) -> Sequence[Answer]:
        """Answer every query, in order; the other backend is asked for what is missing, in one call.

        Equal queries are asked once. Answers are in the store before they are returned; failed ones are not kept.

        Raises:
            CacheError: The store cannot be read or written, or is damaged.
            BackendError: The other backend gave too many answers, or too few.
        """
        keys = {index: key for index, query in enumerate(queries) if (key := self._keys.of(query)) is not None}
        kept = self.store.read(set(keys.values()))
        first: dict[bytes, int] = {}
        for index, key in keys.items():
            if key not in kept:
                first.setdefault(key, index)
        missing = [index for index in range(len(queries)) if index not in keys or first.get(keys[index]) == index]
        answers = self._asked(queries, missing)
        self._keep({key: answers[index] for key, index in first.items()})
        for index, key in keys.items():
            if key in kept:
                answers[index] = self._replayed(kept[key], queries[index])
            elif index != first[key]:
                answers[index] = _shared(answers[first[key]])
        return [answers[index] for index in range(len(queries))]

    def prepare(self, images: Sequence[Image]) -> None:
        """Let the other backend get images ready, if it does so."""
        if isinstance(self.backend, Prepares):
            self.backend.prepare(images)

    def report(self) -> Sequence[str]:
        """Return what the other backend knows of what was done where."""
        return self.backend.report() if isinstance(self.backend, Reports) else ()

    def close(self) -> None:
        """Release the model; the store stays open."""
        self.backend.close()

    def _asked(self, queries: Sequence[Query], missing: Sequence[int]) -> dict[int, Answer]:
        """Return what the other backend answers to the queries at these places, by place."""
        if not missing:
            return {}
        answers = self.backend.answer([queries[index] for index in missing])
        if len(answers) != len(missing):
            raise BackendError(f"backend gave {len(answers)} answers to {len(missing)} queries")
        return dict(zip(missing, answers, strict=True))

    def _keep(self, answers: Mapping[bytes, Answer]) -> None:
        given = {key: to_bytes(answer) for key, answer in answers.items() if not isinstance(answer, Failed)}
        self.store.write(self._keys.model, given)

    def _replayed(self, content: bytes, query: Query) -> Answer:
        try:
            return from_bytes(content, query, _REPLAYED)
        except ValueError as error:
            raise self.store.damaged(str(error)) from error


@frozen
class ConcurrentCachedBackend(CachedBackend):
    """The same around a backend that takes several calls at once."""

    @property
    def concurrent_calls(self) -> int:
        """As many as the other backend takes."""
        assert isinstance(self.backend, Concurrent)
        return self.backend.concurrent_calls


def cached(backend: Backend, store: AnswerStore) -> CachedBackend:
    """Return a backend that answers from a store what is there, as able as the one behind it.

    Args:
        backend: Who answers what is not in the store.
        store: Where answers are kept; it stays its opener's to close.
    """
    return (ConcurrentCachedBackend if isinstance(backend, Concurrent) else CachedBackend)(backend, store)


def _shared(answer: Answer) -> Answer:
    """Return the answer to an equal query of the same call, which costs nothing again."""
    return evolve(answer, usage=Usage() if isinstance(answer, Failed) else _REPLAYED)
