"""The door for queries: a backend over any vision-language checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, evolve, field

from vlmkit.forking.answers import Stems, log_probabilities, replies_to
from vlmkit.forking.encode import features_of
from vlmkit.forking.model import ForkingModel
from vlmkit.forking.states import Opening, Rows, State
from vlmkit.local.asked import Asked
from vlmkit.local.bill import Bill
from vlmkit.local.budget import Budget, Limits
from vlmkit.local.candidates import by_mean, candidate_tokens, common_prefix
from vlmkit.local.checkpoint import Checkpoint
from vlmkit.local.memory import Memory
from vlmkit.types import Answer, Capability, Choose, Encode, Encoding, Image, Query, Tokens, Usage
from vlmkit.types.capability import INTERVENTIONS


@define
class ForkingBackend:
    """Answers queries with a local model of any family, on forks of its own cache.

    Args:
        load: Loads the model; called once, at the first query.
        describe: What a manifest says of the model before it is loaded.
        limits: How much it may hold and run at once. A forked row counts with all that stands before it, for it holds
            a copy; visual features are not kept.
        files: Finds what tells apart what lies beside the weights (``Checkpoint.files``).
    """

    load: Callable[[], ForkingModel]
    describe: Mapping[str, Any]
    limits: Limits = field(factory=Limits)
    files: Callable[[], str | None] = lambda: None
    _model: ForkingModel | None = field(default=None, init=False)
    _budget: Budget = field(init=False)
    _openings: Memory[State] = field(init=False)
    _tokens_of: dict[str, Sequence[int]] = field(factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> ForkingBackend:
        """Return a backend for a checkpoint; weights load at the first query.

        Raises:
            ModelError: It is no vision-language checkpoint.
        """
        checkpoint.check_reads_images()
        return cls(lambda: ForkingModel(checkpoint), checkpoint.identity, files=lambda: checkpoint.files)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Scores, letters, text, several images, features."""
        return frozenset(Capability) - INTERVENTIONS

    @property
    def identity(self) -> Mapping[str, Any]:
        """What a manifest says of the model."""
        return self.describe if self._model is None else {**self.describe, **self._model.identity}

    def depends_on(self, query: Query) -> Mapping[str, Any]:
        """What lies beside the weights: the chat template, the tokenizer, how pictures are prepared."""
        return {"files": self.files()}

    def close(self) -> None:
        """Release the model and everything remembered."""
        if self._model is not None:
            self._model = None
            self._openings.clear()
            self._tokens_of.clear()

    def forget(self) -> None:
        """Drop the states after images; the model stays loaded."""
        if self._model is not None:
            self._openings.clear()

    def answer(self, queries: Sequence[Query]) -> Sequence[Answer]:
        """Answer every query, in order; queries about the same images share what stands before their differences.

        Raises:
            ModelError: The model cannot be loaded.
            BackendError: Memory runs out even for the smallest forward.
        """
        model = self._ready()
        started = time.perf_counter()
        bill = Bill([Usage(queries=1) for _ in queries])
        results: dict[int, Answer] = {}
        by_images: dict[tuple[Image, ...], list[int]] = {}
        for index, query in enumerate(queries):
            if isinstance(query, Encode):
                results[index] = self._encoding(model, query, index, bill)
            else:
                by_images.setdefault(query.images, []).append(index)
        for images, indices in by_images.items():
            texts = [model.chat(queries[index].text, len(images)) for index in indices]
            groups: dict[tuple[int, ...], tuple[Opening, list[Asked]]] = {}
            for index, text, prompt in zip(indices, texts, model.prompts(texts, images), strict=True):
                _, group = groups.setdefault(prompt.opening.ids, (prompt.opening, []))
                group.append(Asked(index, queries[index], text, prompt.ids))
            for opening, group in groups.values():
                self._answer_group(model, images, opening, group, bill, results)
        share = Usage(seconds=(time.perf_counter() - started) / max(1, len(queries)))
        return [evolve(results[index], usage=bill.usages[index] + share) for index in range(len(queries))]

    def _ready(self) -> ForkingModel:
        if self._model is None:
            model = self.load()
            self._budget = Budget(self.limits.tokens)
            self._openings = Memory(self.limits.trunk_bytes)
            self._budget.run([1], lambda _: model.continuation)  # the trial may be the first to lack memory
            self._model = model
        return self._model

    def _encoding(self, model: ForkingModel, query: Encode, index: int, bill: Bill) -> Encoding:
        """Run a prompt by itself: other than keys and values, hidden states are not kept."""
        text = model.chat(query.text, len(query.images))
        (prompt,) = model.prompts([text], query.images)
        (features,) = self._budget.run([len(prompt.ids)], lambda _: features_of(model, query, prompt))
        bill.forward([index])
        bill.add(index, Usage(images_encoded=len(query.images), tokens=Tokens(trunk=len(prompt.ids))))
        return Encoding(features, prompt=text)

    def _answer_group(
        self,
        model: ForkingModel,
        images: tuple[Image, ...],
        opening: Opening,
        group: Sequence[Asked],
        bill: Bill,
        results: dict[int, Answer],
    ) -> None:
        """Answer questions that begin alike."""
        trunk = self._trunk(model, images, opening, group, bill)
        # Only stems of one length can be continued together: padding would enter recurrent states.
        alike: dict[tuple[int, bool], list[Asked]] = {}
        for one in group:
            alike.setdefault((len(one.tokens), one.limit > 0), []).append(one)
        for (length, replies), members in alike.items():

            def step(which: range, members: Sequence[Asked] = members, replies: bool = replies) -> None:
                chosen = members[which.start : which.stop]
                rows = Rows(
                    [one.index for one in chosen], [one.tokens[len(trunk) :] for one in chosen], [0] * len(chosen)
                )
                logits, state = model.continuation.extend(trunk, rows, 1, bill)
                stems = Stems(rows.owners, state, logits[:, -1])
                found = self._replies if replies else self._ballots
                results.update(zip(rows.owners, found(model, stems, chosen, bill), strict=True))

            self._budget.run([length + one.limit for one in members], step)

    def _trunk(
        self, model: ForkingModel, images: tuple[Image, ...], opening: Opening, group: Sequence[Asked], bill: Bill
    ) -> State:
        """Return the state after all that the questions share; the images' part of it is remembered."""
        way, payer = model.continuation, group[0].index
        key = (*(image.digest for image in images), opening.ids)
        state = self._openings.get(key)
        if state is None:
            (state,) = self._budget.run([len(opening.ids)], lambda _: way.begin(opening, payer, bill))
            self._openings.put(key, state)
        shared = group[0].tokens[:-1]
        for one in group[1:]:
            shared = shared[: common_prefix(shared, one.tokens[:-1])]
        if len(group) == 1 or len(shared) == len(state):
            return state
        before, words = state, Rows([payer], [shared[len(state) :]], [0], kind="trunk")
        ((_, after),) = self._budget.run([len(shared)], lambda _: way.extend(before, words, 0, bill))
        return after

    def _replies(self, model: ForkingModel, stems: Stems, asked: Sequence[Asked], bill: Bill) -> list[Answer]:
        limits, samplers = [one.limit for one in asked], [one.sampler for one in asked]
        replies = replies_to(stems, model.continuation, limits, samplers, model.end_tokens, bill)
        return [one.worded(model.detokenize(reply)) for one, reply in zip(asked, replies, strict=True)]

    def _ballots(self, model: ForkingModel, stems: Stems, asked: Sequence[Asked], bill: Bill) -> list[Answer]:
        queries = [one.query for one in asked if isinstance(one.query, Choose)]
        candidates = [
            candidate_tokens(one.texts, query.readout, model, self._tokens_of)
            for one, query in zip(asked, queries, strict=True)
        ]
        scores = log_probabilities(model.continuation, stems, candidates, self._budget, bill)
        return [
            one.scored([s / len(c) for s, c in zip(mine, tokens, strict=True)] if by_mean(query.readout) else mine)
            for one, query, mine, tokens in zip(asked, queries, scores, candidates, strict=True)
        ]
