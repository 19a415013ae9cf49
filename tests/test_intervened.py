"""Interventions on their way from a strategy to a backend."""

from __future__ import annotations

from typing import ClassVar

import PIL.Image
import pytest
from attrs import field, frozen

from vlmkit import Capability, Classify, Engine, Example, Generate, Image, Intervened, Intervention, LabelSpace
from vlmkit.errors import CapabilityError
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing import ContractError, check_strategy
from vlmkit_adapters.scripted import ScriptedBackend

BUILDER = Builder(PluginHost.load().registry)

PICTURE = PIL.Image.new("RGB", (4, 4))


@frozen
class Blur(Intervention):
    requires: ClassVar[Capability] = Capability.REDUCE
    by: int = 1


@frozen
class Blurred(Intervened):
    by: int = 1

    @property
    def intervention(self) -> Blur:
        return Blur(self.by)


@frozen
class Secret:
    """Changes the model without saying so."""

    inner: object = field(factory=lambda: Blurred(BUILDER.strategy("flat")))

    @property
    def requires(self):
        return frozenset({Capability.LIKELIHOOD})

    def solve(self, task):
        return (yield from self.inner.solve(task))


def test_every_query_of_every_round_is_changed():
    strategy = Blurred(Blurred(BUILDER.strategy("dci:group_size=3"), 2), 3)
    assert strategy.requires == {Capability.LIKELIHOOD, Capability.REDUCE}
    task = Classify([Image(PICTURE)], [f"label {number}" for number in range(10)])
    solving, answers, rounds = strategy.solve(task), None, 0
    with pytest.raises(StopIteration) as end:
        while True:
            queries = solving.send(answers)
            assert {query.interventions for query in queries} == {(Blur(2), Blur(3))}
            answers = ScriptedBackend().answer(queries)
            rounds += 1
    assert rounds > 1 and end.value.value.label in task.labels.names


def test_a_change_that_is_not_required_breaks_the_contract():
    with pytest.raises(ContractError, match=r"requires must cover its interventions, but .*REDUCE.* is missing"):
        check_strategy(Secret())


def solved(strategy):
    examples = [Example(id="1", images=[PICTURE])]
    return list(Engine(strategy, ScriptedBackend()).solve(examples, LabelSpace(["a", "b"])))


def test_models_that_cannot_be_changed_refuse():
    with pytest.raises(CapabilityError, match="Blurred needs reduce"):
        solved(Blurred(BUILDER.strategy("flat")))
    (one,) = solved(Secret())
    assert "needs reduce, which the strategy does not require" in str(one.error)


def test_queries_are_told_apart_by_their_interventions():
    images = [Image(PICTURE)]
    assert Generate(images, "?", interventions=[Blur(1)]) != Generate(images, "?", interventions=[Blur(2)])
