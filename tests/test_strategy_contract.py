"""For every rule of the strategy contract, a strategy that breaks it is caught."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable
from itertools import count
from pathlib import Path

import PIL.Image
import pytest
from attrs import evolve

from vlmkit import Ask, Capability, Generate, Image, Label, Prediction, Ranking, Reply, Round
from vlmkit.errors import SpecError
from vlmkit.testing import ContractError, check_strategy
from vlmkit_strategies.flat import Flat


class Made:
    """A strategy made of a function."""

    def __init__(self, solve: Callable, requires: object = frozenset({Capability.LIKELIHOOD})) -> None:
        self.solve, self.requires = solve, requires


def once(task, ask: Callable | None = None, conclude: Callable | None = None):
    """Solve with one question, unless there are no labels; what is asked and concluded can be bent."""
    if isinstance(task, Ask):
        return (yield from Flat().solve(task))
    if not len(task.labels):
        return Prediction(None)
    query = task.choose(task.labels)
    (ballot,) = yield [ask(task, query) if ask else query]
    prediction = Prediction(ballot.choice, ballot.ranking, (Round.of(len(task.labels), [ballot]),))
    return conclude(prediction) if conclude else prediction


def asking(ask: Callable) -> Made:
    return Made(lambda task: once(task, ask=ask))


def concluding(conclude: Callable) -> Made:
    return Made(lambda task: once(task, conclude=conclude))


def bare_query(task):
    (ballot,) = yield task.choose(task.labels) if len(task.labels) else Generate(task.images, "?")
    return Prediction(ballot.choice)


def endless(task):
    while True:
        yield []


def first_label(task):
    yield []
    return Prediction(task.labels[0].name)


def blind_to_none(task):
    if not len(task.labels):
        return Prediction(None)
    (ballot,) = yield [task.choose(task.labels, allow_none=True)]
    return Prediction(task.labels.label(ballot.choice).name)


def particular(task):
    if len(task.labels) == 7:
        raise SpecError("seven brings bad luck")
    return (yield from once(task))


class Forgetful:
    """Keeps the task at hand in itself."""

    requires = frozenset({Capability.LIKELIHOOD})

    def solve(self, task):
        self.labels = task.labels.names
        if self.labels:
            yield [task.choose(task.labels)]
        return Prediction(self.labels[0] if self.labels else None)


class Learning:
    """Grows wiser with every task."""

    requires = frozenset({Capability.LIKELIHOOD})

    def __init__(self) -> None:
        self.solved = count()

    def solve(self, task):
        turn = next(self.solved)
        return (yield from once(task, ask=lambda task, query: evolve(query, allow_none=turn % 2 == 1)))


def shuffled(task, query):
    return evolve(query, options=random.sample(query.options, len(query.options)))


OTHER = Image(PIL.Image.new("RGB", (1, 1)), source="other")

BROKEN_STRATEGIES = [
    (Made(once, requires={Capability.LIKELIHOOD}), "requires must be a frozenset of Capability, but it is {"),
    (Made(once, requires=frozenset({"likelihood"})), "requires must be a frozenset of Capability"),
    (Made(lambda task: [task]), "solve\\(\\) must be a generator, but it returned list"),
    (Made(bare_query), "must yield sequences of queries, but it yielded Generate"),
    (asking(lambda task, query: evolve(query, images=[OTHER])), "queries must be about the task's images"),
    (asking(lambda task, query: evolve(query, options=[Label("yes")])), "options must be the task's labels"),
    (asking(lambda task, query: evolve(query, options=query.options * 2)), "must offer a label once"),
    (asking(lambda task, query: evolve(query, readout=Reply())), "requires must cover its queries.*GENERATE"),
    (asking(shuffled), "the same task must be solved by the same steps"),
    (concluding(lambda prediction: prediction.label), "must return a Prediction, but it returned 'label 0'"),
    (concluding(lambda prediction: Prediction("unicorn")), "label must be None or one of the task's.*'unicorn'"),
    (concluding(lambda prediction: evolve(prediction, ranking=Ranking([("x", 0.0)]))), "ranking must hold"),
    (concluding(lambda prediction: evolve(prediction, ranking=Ranking([*prediction.ranking] * 2))), "each once"),
    (concluding(lambda prediction: evolve(prediction, trace=prediction.trace * 2)), "they count 2 of 1"),
    (Made(endless), "must come to an end, but had 1000 rounds"),
    (Made(first_label), "a task with 0 labels, seed 0, must end with a Prediction, but it raised IndexError"),
    (Made(blind_to_none), "must end with a Prediction, but it raised KeyError"),
    (Made(particular), "seven brings bad luck"),
    (Learning(), "the same task must be solved by the same steps"),
    (Forgetful(), "tasks solved at the same time must not change each other"),
]


@pytest.mark.parametrize(("strategy", "message"), BROKEN_STRATEGIES)
def test_broken_strategies_are_caught(strategy, message):
    with pytest.raises(ContractError, match=message):
        check_strategy(strategy)


def test_the_strategy_that_the_broken_ones_bend_is_sound():
    check_strategy(Made(once), free_questions=True)


def test_free_questions_are_checked_on_request_only():
    def evasive(task):
        if isinstance(task, Ask):
            yield [task.generate()]
            return Prediction("cat")
        return (yield from once(task))

    check_strategy(Made(evasive))
    with pytest.raises(ContractError, match="a free question must be answered by a text"):
        check_strategy(Made(evasive), free_questions=True)


def test_a_module_that_loads_torch_is_caught(tmp_path: Path, monkeypatch):
    source = "import torch\nfrom vlmkit_strategies.flat import Flat\nclass Heavy(Flat):\n    pass\n"
    (tmp_path / "heavy_strategy.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ContractError, match="must load neither torch nor transformers"):
        check_strategy(importlib.import_module("heavy_strategy").Heavy())
