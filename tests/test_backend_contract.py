"""For every rule of the backend contract, a backend that breaks it is caught."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve

from vlmkit import Ballot, Capability, Choose, Encode, Letter, Outcome, Text, arbitrary
from vlmkit.testing import ContractError, check_backend
from vlmkit_adapters.scripted import ScriptedBackend


class Bent:
    """The fake, with one thing bent."""

    def __init__(self, **bent: object) -> None:
        self.sound = ScriptedBackend(none_rate=0.3, invalid_rate=0.3)
        self.bent = bent

    def __getattr__(self, name: str) -> object:
        bent = self.__dict__["bent"]
        return bent[name] if name in bent else getattr(self.__dict__["sound"], name)


def answering(bend: Callable) -> Bent:
    """Bend every answer: ``bend(query, answer)``."""
    return calling(lambda queries, answers: [bend(*pair) for pair in zip(queries, answers, strict=True)])


def calling(bend: Callable) -> Bent:
    """Bend the answers to a call: ``bend(queries, answers)``."""
    sound = ScriptedBackend(none_rate=0.3, invalid_rate=0.3)
    return Bent(answer=lambda queries: bend(queries, sound.answer(queries)))


def scored(change: Callable) -> Bent:
    """Bend the ballots that have scores."""
    return answering(
        lambda query, answer: change(answer) if isinstance(answer, Ballot) and answer.log_probs else answer
    )


def replied(**changes: object) -> Bent:
    """Change fields of the ballots that come from a reply."""
    return answering(
        lambda query, answer: evolve(answer, **changes) if isinstance(answer, Ballot) and answer.reply else answer
    )


def billed(**changes: object) -> Bent:
    return answering(lambda query, answer: evolve(answer, usage=evolve(answer.usage, **changes)))


def lowered(answer, by: float):
    """Lower all scores alike, which changes no choice."""
    if not isinstance(answer, Ballot) or answer.log_probs is None:
        return answer
    none = None if answer.none_log_prob is None else answer.none_log_prob - by
    return evolve(answer, log_probs=[score - by for score in answer.log_probs], none_log_prob=none)


def drifting() -> Bent:
    calls = count()
    return calling(lambda queries, answers: [lowered(answer, next(calls)) for answer in answers])


def featured(bend: Callable) -> Bent:
    """Give arbitrary features, bent."""
    sound = ScriptedBackend()

    def answers(queries):
        return [
            evolve(arbitrary.answer(query), features=bend(arbitrary.answer(query).features))
            if isinstance(query, Encode)
            else sound.answer([query])[0]
            for query in queries
        ]

    return Bent(capabilities=sound.capabilities | {Capability.FEATURES}, answer=answers)


class Growing(Bent):
    """Finds out what it can do once it has answered."""

    @property
    def capabilities(self):
        return frozenset(Capability) if self.asked else frozenset({Capability.LIKELIHOOD})

    asked = False

    def answer(self, queries):
        self.asked = True
        return self.sound.answer(queries)


class Secretive(Bent):
    """Has no identity before the weights are loaded."""

    @property
    def identity(self):
        raise RuntimeError("load the weights first")


class Forgetful(Bent):
    """Loses its scores when it prepares."""

    lost = 0.0

    def prepare(self, images):
        self.lost = 1.0

    def answer(self, queries):
        return [lowered(answer, self.lost) for answer in self.sound.answer(queries)]


class ClosedOnce(Bent):
    closed = False

    def close(self):
        if self.closed:
            raise RuntimeError("already closed")
        self.closed = True


def without_letters(queries, answers):
    if any(isinstance(query, Choose) and isinstance(query.readout, Letter) for query in queries):
        raise ValueError("no letters here")
    return answers


def worst(ballot: Ballot) -> Ballot:
    return evolve(ballot, choice=ballot.ranking.labels[-1], outcome=Outcome.SELECTED)


BROKEN_BACKENDS = [
    (Bent(capabilities={Capability.LIKELIHOOD}), "capabilities must be a frozenset of Capability"),
    (Bent(capabilities=frozenset({Capability.MULTI_IMAGE})), "capabilities must hold a readout"),
    (Growing(), "capabilities must stay"),
    (Secretive(), "must be there before any answer, but it raised RuntimeError: load the weights first"),
    (Bent(identity="qwen"), "identity must be a mapping"),
    (Bent(identity={"weights": Path("x")}), "identity must be JSON-ready, but it raised TypeError"),
    (Bent(identity={1: "one"}), "identity must have text keys"),
    (calling(without_letters), "that its capabilities promise must be answered, but it raised ValueError: no letters"),
    (calling(lambda queries, answers: answers[1:]), "every query must get an answer, but 32 queries got 31"),
    (answering(lambda query, answer: Text("cat")), "a Choose must get a Ballot, but a Text came"),
    (scored(lambda ballot: evolve(ballot, options=ballot.options[::-1])), "the query's options in order"),
    (scored(lambda ballot: evolve(ballot, choice="x", outcome=Outcome.SELECTED)), "a ballot must choose an option"),
    (scored(lambda ballot: evolve(ballot, choice=None, outcome=Outcome.NONE)), "only where it is offered"),
    (scored(lambda ballot: evolve(ballot, log_probs=None)), "must give scores, but log_probs is None"),
    (scored(lambda ballot: evolve(ballot, none_log_prob=None)), "None must have a score where it is offered"),
    (scored(lambda ballot: lowered(ballot, -50.0)), "scores must be log-probabilities"),
    (scored(worst), "a ballot must choose the best score"),
    (replied(reply=None), "the text readout must give the reply"),
    (replied(choice=None, outcome=Outcome.INVALID), "a ballot must be what the parser makes of its reply"),
    (drifting(), "the same call must give the same answers"),
    (calling(lambda queries, answers: [lowered(a, i) for i, a in enumerate(answers)]), "the order of queries must not"),
    (calling(lambda queries, answers: [lowered(a, len(answers)) for a in answers]), "queries that ride along must not"),
    (featured(lambda features: dict(list(features.items())[1:])), "must have the query's sites in order"),
    (featured(lambda features: {site: one.astype(float) for site, one in features.items()}), "finite float32 vector"),
    (featured(lambda features: {site: one * np.float32("inf") for site, one in features.items()}), "finite float32"),
    (featured(lambda features: {site: one[None] for site, one in features.items()}), "finite float32 vector"),
    (billed(queries=0), "every answer must bill one query, but one bills 0"),
    (billed(seconds=-1.0), "usage must not be negative"),
    (billed(forwards=0.3), "the forwards of a call must add up to a whole number"),
    (Bent(prepare=lambda images: 1 / 0), "prepare\\(\\) must raise nothing, but it raised ZeroDivisionError"),
    (Forgetful(), "to prepare images must not change an answer"),
    (ClosedOnce(), "close\\(\\) must be possible twice, but it raised RuntimeError"),
]


@pytest.mark.parametrize(("backend", "message"), BROKEN_BACKENDS)
def test_broken_backends_are_caught(backend, message):
    with pytest.raises(ContractError, match=message):
        check_backend(backend)


def test_features_that_keep_the_contract_pass():
    check_backend(featured(lambda features: features))


def test_differences_within_the_tolerance_are_accepted():
    noisy = calling(lambda queries, answers: [lowered(answer, 1e-3 * i) for i, answer in enumerate(answers)])
    check_backend(noisy, tolerance=0.1)
    with pytest.raises(ContractError, match="order of queries"):
        check_backend(noisy)


@pytest.mark.parametrize("left", [{Capability.LETTER}, {Capability.GENERATE}, {Capability.LIKELIHOOD}])
def test_only_promised_readouts_are_asked_for(left):
    def answer(queries):
        asked = {query.readout.requires if isinstance(query, Choose) else Capability.GENERATE for query in queries}
        assert asked <= left
        assert all(len(query.images) == 1 for query in queries)
        return ScriptedBackend().answer(queries)

    check_backend(Bent(capabilities=frozenset(left), answer=answer))
