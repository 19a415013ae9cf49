"""The door for queries: a backend over any family's model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import define, evolve, field

from vlmkit.local.asked import Asked
from vlmkit.local.bill import Bill
from vlmkit.local.budget import Budget, Limits
from vlmkit.local.candidates import candidate_tokens
from vlmkit.local.memory import Memory
from vlmkit.tokentree.decode import Opening, greedy
from vlmkit.tokentree.executor import Executor
from vlmkit.tokentree.family import Family
from vlmkit.tokentree.score import Question, log_probabilities
from vlmkit.tokentree.trunks import Trunk, Trunks, Wanted
from vlmkit.types import Answer, Capability, Choose, Image, Query, Usage


@define
class TokenTreeBackend:
    """Answers queries with a local model, on token trees.

    Args:
        load: Loads the family's model; called once, at the first query.
        describe: What a manifest says of the model before it is loaded.
        limits: How much it may hold and run at once.
        sketch: Makes the same model without its weights, for plans; None where that cannot be done.
    """

    load: Callable[[], Family]
    describe: Mapping[str, Any]
    limits: Limits = field(factory=Limits)
    sketch: Callable[[], Family] | None = None
    _family: Family | None = field(default=None, init=False)
    _trunks: Trunks | None = field(default=None, init=False)
    _tokens_of: dict[str, Sequence[int]] = field(factory=dict, init=False, repr=False)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All of them: scores, letters, text, several images."""
        return frozenset(Capability)

    @property
    def identity(self) -> Mapping[str, Any]:
        """What a manifest says of the model."""
        return self.describe if self._family is None else {**self.describe, **self._family.identity}

    def close(self) -> None:
        """Release the model and everything remembered."""
        self._family = self._trunks = None
        self._tokens_of.clear()

    def answer(self, queries: Sequence[Query]) -> Sequence[Answer]:
        """Answer every query, in order; queries about the same images share their trunk.

        Raises:
            ModelError: The model cannot be loaded.
            BackendError: Memory runs out even for the smallest forward.
        """
        trunks = self._ready()
        started = time.perf_counter()
        bill = Bill([Usage(queries=1) for _ in queries])
        asked = self._tokenized(queries, trunks)
        results: dict[int, Answer] = {}
        for wave in self._waves(asked, trunks):
            self._answer_wave(wave, trunks, bill, results)
        trunks.pictures.clear()
        share = Usage(seconds=(time.perf_counter() - started) / max(1, len(queries)))
        return [evolve(results[index], usage=bill.usages[index] + share) for index in range(len(queries))]

    def _ready(self) -> Trunks:
        if self._trunks is None:
            self._family = self.load()
            self._trunks = Trunks(
                self._family,
                Executor(self._family, Budget(self.limits.tokens)),
                Memory(self.limits.trunk_bytes),
                Memory(self.limits.feature_bytes),
            )
        return self._trunks

    def _tokenized(self, queries: Sequence[Query], trunks: Trunks) -> list[Asked]:
        family = trunks.family
        prompts = [family.chat(query.text, len(query.images)) for query in queries]
        asked = []
        for index, (query, prompt, ids) in enumerate(zip(queries, prompts, family.tokenize(prompts), strict=True)):
            asked.append(Asked(index, query, prompt, family.expand(ids, trunks.prepared(query.images))))
        return asked

    def _waves(self, asked: Sequence[Asked], trunks: Trunks) -> Iterator[list[list[Asked]]]:
        """Group by images, then cut into waves whose trunks fit the memory together."""
        groups: dict[tuple[Image, ...], list[Asked]] = {}
        for one in asked:
            groups.setdefault(one.query.images, []).append(one)
        wave: list[list[Asked]] = []
        held = 0
        for group in groups.values():
            longest = max(len(one.tokens) for one in group)
            states = sum(picture.state_bytes for picture in trunks.prepared(group[0].query.images))
            size = longest * trunks.family.kv_bytes + states
            if wave and held + size > self.limits.trunk_bytes:
                yield wave
                wave, held = [], 0
            wave.append(group)
            held += size
        if wave:
            yield wave

    def _answer_wave(
        self, wave: Sequence[Sequence[Asked]], trunks: Trunks, bill: Bill, results: dict[int, Answer]
    ) -> None:
        wanted = [Wanted(group[0].query.images, [one.tokens for one in group], payer=group[0].index) for group in wave]
        asked = [one for group in wave for one in group]
        shared = [trunk for group, trunk in zip(wave, trunks.prepare(wanted, bill), strict=True) for _ in group]
        places = trunks.lengthen(shared, [one.tokens for one in asked], [one.index for one in asked], bill)
        trunk_of = {one.index: trunk for one, trunk in zip(asked, places, strict=True)}
        replies = [one for one in asked if one.limit]
        openings = [
            Opening(one.index, trunk_of[one.index], _stem(one, trunk_of[one.index]), one.limit) for one in replies
        ]
        for one, text in zip(replies, greedy(trunks.executor, openings, bill), strict=True):
            results[one.index] = one.worded(text)
        scored = [one for one in asked if not one.limit]
        questions = [self._question(one, trunk_of[one.index], trunks.family) for one in scored]
        for one, scores in zip(scored, log_probabilities(trunks.executor, questions, bill), strict=True):
            results[one.index] = one.scored(scores)

    def _question(self, one: Asked, trunk: Trunk, family: Family) -> Question:
        assert isinstance(one.query, Choose)
        readout = one.query.readout
        candidates = candidate_tokens(one.texts, readout, family, self._tokens_of)
        return Question(one.index, trunk, _stem(one, trunk), candidates, readout)


def _stem(one: Asked, trunk: Trunk) -> Sequence[int]:
    """Return the prompt's tokens after the trunk."""
    return one.tokens[len(trunk.tokens) :]
