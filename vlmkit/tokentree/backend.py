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
from vlmkit.tokentree.decode import Opening, replies_to
from vlmkit.tokentree.encode import encodings
from vlmkit.tokentree.executor import Executor
from vlmkit.tokentree.family import Family
from vlmkit.tokentree.pictures import Pictures, pixel_bytes
from vlmkit.tokentree.score import Question, log_probabilities
from vlmkit.tokentree.trunks import Trunk, Trunks, Wanted
from vlmkit.tokentree.weights import Begin, observe
from vlmkit.types import Answer, Capability, Choose, Encode, Image, Intervention, Query, Usage

Wave = list[tuple[Wanted, list[Asked]]]
"""Groups of questions that share a trunk, and the questions themselves."""


@define
class TokenTreeBackend:
    """Answers queries with a local model, on token trees.

    Args:
        load: Loads the family's model; called once, at the first query.
        describe: What a manifest says of the model before it is loaded.
        limits: How much it may hold and run at once.
        sketch: Makes the same model without its weights, for plans; None where that cannot be done.
        files: Finds what tells apart what lies beside the weights (``Checkpoint.files``).
    """

    load: Callable[[], Family]
    describe: Mapping[str, Any]
    limits: Limits = field(factory=Limits)
    sketch: Callable[[], Family] | None = None
    files: Callable[[], str | None] = lambda: None
    _family: Family | None = field(default=None, init=False)
    _trunks: Trunks | None = field(default=None, init=False)
    _tokens_of: dict[str, Sequence[int]] = field(factory=dict, init=False, repr=False)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All of them: scores, letters, text, several images, features, interventions."""
        return frozenset(Capability)

    @property
    def identity(self) -> Mapping[str, Any]:
        """What a manifest says of the model."""
        return self.describe if self._family is None else {**self.describe, **self._family.identity}

    def depends_on(self, query: Query) -> Mapping[str, Any]:
        """What lies beside the weights: the chat template, the tokenizer, how pictures are prepared."""
        return {"files": self.files()}

    def close(self) -> None:
        """Release the model and everything remembered."""
        self._family = self._trunks = None
        self._tokens_of.clear()

    def answer(self, queries: Sequence[Query]) -> Sequence[Answer]:
        """Answer every query, in order; those about the same images with the same interventions share their trunk.

        Raises:
            ModelError: The model cannot be loaded.
            BackendError: Memory runs out even for the smallest forward.
        """
        trunks = self._ready()
        started = time.perf_counter()
        bill = Bill([Usage(queries=1) for _ in queries])
        results: dict[int, Answer] = {}
        encodes = {index: query for index, query in enumerate(queries) if isinstance(query, Encode)}
        others = {index: query for index, query in enumerate(queries) if index not in encodes}
        for wave in self._waves(_tokenized(others, trunks.family), trunks):
            self._answer_wave(wave, trunks, bill, results)
        results.update(encodings(encodes, trunks, bill))
        share = Usage(seconds=(time.perf_counter() - started) / max(1, len(queries)))
        return [evolve(results[index], usage=bill.usages[index] + share) for index in range(len(queries))]

    def prepare(self, images: Sequence[Image]) -> None:
        """Run the processor over images that may be asked about soon; nothing before the model is loaded."""
        if self._trunks is not None:
            self._trunks.pictures.ahead(images)

    def forget(self) -> None:
        """Drop trunks and features; the model stays loaded."""
        if self._family is not None and self._trunks is not None:
            self._trunks = self._trunks_of(self._family, self._trunks.executor)

    def observe(self, images: Sequence[Image], text: str, begin: Begin) -> None:
        """Run one prompt through the language model in one forward, its attention weights handed to an observer.

        Args:
            images: The pictures, in the order shown.
            text: The user's words.
            begin: Makes the observer of the index of the image of each visual token, -1 for all others, int64 [T].

        Raises:
            ModelError: The model cannot be loaded, or its images are no part of its sequence.
            BackendError: Memory runs out.
        """
        observe(images, text, self._ready(), begin)

    def _ready(self) -> Trunks:
        if self._trunks is None:
            self._family = self.load()
            self._trunks = self._trunks_of(self._family, Executor(self._family, Budget(self.limits.tokens)))
        return self._trunks

    def _trunks_of(self, family: Family, executor: Executor) -> Trunks:
        limits = self.limits
        pictures = Pictures(family, limits.pixel_bytes)
        return Trunks(family, executor, Memory(limits.trunk_bytes), Memory(limits.feature_bytes), pictures)

    def _waves(self, asked: Sequence[Asked], trunks: Trunks) -> Iterator[Wave]:
        """Group by what makes a trunk, then cut into waves whose trunks and pixels fit their memories together."""
        groups: dict[tuple[tuple[Image, ...], tuple[Intervention, ...]], list[Asked]] = {}
        for one in asked:
            groups.setdefault((one.query.images, one.query.interventions), []).append(one)
        wave: Wave = []
        held = pixels = 0
        for (images, interventions), group in groups.items():
            want = trunks.wanted(images, interventions, [one.tokens for one in group], group[0].index)
            states = sum(picture.state_bytes for picture in want.pictures)
            size = want.longest * trunks.family.kv_bytes + states
            waiting = sum(map(pixel_bytes, want.pictures))
            if wave and (held + size > self.limits.trunk_bytes or pixels + waiting > self.limits.pixel_bytes):
                yield wave
                wave, held, pixels = [], 0, 0
            wave.append((want, group))
            held += size
            pixels += waiting
        if wave:
            yield wave

    def _answer_wave(self, wave: Wave, trunks: Trunks, bill: Bill, results: dict[int, Answer]) -> None:
        wanted = [want for want, _ in wave]
        asked = [one for _, group in wave for one in group]
        shared, stems = [], []
        for want, trunk in zip(wanted, trunks.prepare(wanted, bill), strict=True):
            stems += want.stems(trunk)
            shared += [trunk] * len(want.rests)
        places = trunks.lengthen(shared, stems, [one.index for one in asked], bill)
        replies = [(one, place) for one, place in zip(asked, places, strict=True) if one.limit]
        openings = [Opening(one.index, *place, one.limit, one.sampler) for one, place in replies]
        for (one, _), text in zip(replies, replies_to(openings, trunks.executor, bill), strict=True):
            results[one.index] = one.worded(text)
        scored = [(one, place) for one, place in zip(asked, places, strict=True) if not one.limit]
        questions = [self._question(one, *place, trunks.family) for one, place in scored]
        for (one, _), scores in zip(scored, log_probabilities(trunks.executor, questions, bill), strict=True):
            results[one.index] = one.scored(scores)

    def _question(self, one: Asked, trunk: Trunk, stem: Sequence[int], family: Family) -> Question:
        assert isinstance(one.query, Choose)
        readout = one.query.readout
        candidates = candidate_tokens(one.texts, readout, family, self._tokens_of)
        return Question(one.index, trunk, stem, candidates, readout)


def _tokenized(queries: Mapping[int, Query], family: Family) -> list[Asked]:
    """Return queries, by their place in the call, with their prompts; prompts that are alike are read once."""
    prompts = {index: family.chat(query.text, len(query.images)) for index, query in queries.items()}
    texts = list(dict.fromkeys(prompts.values()))
    ids = dict(zip(texts, family.tokenize(texts), strict=True))
    return [Asked(index, queries[index], prompt, ids[prompt]) for index, prompt in prompts.items()]
