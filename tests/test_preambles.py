"""Strategies that have the model write first: ``cot``, ``plan-and-solve``, ``describe``, ``self-consistency``.

Their contract: ``test_contracts.py``.
"""

from __future__ import annotations

from collections.abc import Callable

import PIL.Image
import pytest
from attrs import frozen
from hypothesis import example, given, settings

from vlmkit import Ask, Capability, Choose, Classify, Generate, Image, Prediction, Query, Strategy, Text
from vlmkit.engine import check_capabilities
from vlmkit.errors import CapabilityError
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing.strategies import label_names
from vlmkit_adapters.scripted import ScriptedBackend
from vlmkit_strategies.cot import ChainOfThought
from vlmkit_strategies.dci import DCI
from vlmkit_strategies.describe import Describe
from vlmkit_strategies.flat import Flat
from vlmkit_strategies.plan_and_solve import PlanAndSolve
from vlmkit_strategies.self_consistency import SelfConsistency

PREAMBLES = [ChainOfThought, PlanAndSolve, Describe]

IMAGE = Image(PIL.Image.new("RGB", (4, 4)))

BIRDS = ["robin", "wren", "tern", "gull", "kite"]


def task(labels=BIRDS, **more) -> Classify:
    return Classify(images=(IMAGE,), labels=labels, id="a.png", **more)


def drive(
    strategy: Strategy, task: Classify | Ask, backend=None, write: Callable[[Query], str] = lambda query: "A brown one."
) -> tuple[Prediction, list[list]]:
    """Solve one task by hand; ``write`` answers what is generated."""
    backend = backend or ScriptedBackend(accuracy=1.0)
    solving, rounds, answers = strategy.solve(task), [], None
    while True:
        try:
            rounds.append(list(solving.send(answers)))
        except StopIteration as stop:
            return stop.value, rounds
        answers = [
            Text(write(query)) if isinstance(query, Generate) else backend.answer([query])[0] for query in rounds[-1]
        ]


@pytest.mark.parametrize("wrapper", PREAMBLES)
def test_every_later_question_has_the_text_before_its_options(wrapper):
    labels = [f"bird {number}" for number in range(20)]
    prediction, [[first], *later] = drive(wrapper(DCI(group_size=5), max_tokens=9), task(labels))
    assert (first.images, first.max_tokens, first.temperature) == ((IMAGE,), 9, 0.0)
    for query in (query for queries in later for query in queries):
        assert isinstance(query, Choose) and query.images == (IMAGE,)
        assert query.text.index("A brown one.") < query.text.index("Which category") < query.text.index("bird")
    assert [(played.candidates, played.queries) for played in prediction.trace] == [(20, 1), (20, 4), (4, 1)]


def test_the_triggers_are_the_published_ones():
    asked = {wrapper: drive(wrapper(Flat()), task())[1][0][0].text for wrapper in PREAMBLES}
    assert asked[ChainOfThought].endswith("\nkite\nLet's think step by step.")
    assert asked[PlanAndSolve].endswith(
        "\nkite\nLet's first understand the problem and devise a plan to solve the problem. "
        "Then, let's carry out the plan and solve the problem step by step."
    )
    assert not any(bird in asked[Describe] for bird in BIRDS)


@pytest.mark.parametrize("wrapper", [*PREAMBLES, SelfConsistency])
def test_nothing_is_written_where_nothing_is_chosen(wrapper):
    question = Ask(images=(IMAGE,), question="How many?")
    for one in (task([]), task(["robin"]), question):
        assert drive(wrapper(Flat()), one) == drive(Flat(), one)


@settings(max_examples=25)
@example('{{ 1 }} "\\ {% raw %} \\n')
@given(label_names().map(str.strip))
def test_what_the_model_writes_stands_in_the_question_as_it_is(text):
    _, [_, [query]] = drive(Describe(Flat()), task(), write=lambda _: text)
    plain = task().choose(task().labels).text
    assert query.text == f"Description of the image: {text}\n{plain}"


def test_chains_are_drawn_by_seeds_of_their_own_and_the_example_fixes_them():
    strategy = SelfConsistency(Flat(), samples=4, temperature=0.5)
    _, [chains, choices] = drive(strategy, task())
    assert len({query.seed for query in chains}) == len(chains) == len(choices) == 4
    assert {query.temperature for query in chains} == {0.5} and all(0 <= query.seed < 2**31 for query in chains)
    assert chains == drive(strategy, task())[1][0] != drive(strategy, task(seed=1))[1][0]


@frozen
class Believing(ScriptedBackend):
    """Chooses what the text before its question says."""

    def answer(self, queries):
        return [self._believed(query) for query in queries]

    def _believed(self, query):
        word = query.text.removeprefix("Thoughts on the image: ").split()[0]
        return ScriptedBackend(accuracy=1.0, truth={IMAGE.digest: word}).answer([query])[0]


def test_the_label_that_most_chains_lead_to_wins():
    chains = iter(["wren", "gull", "gull", "tern", "gull"])
    prediction, _ = drive(SelfConsistency(Flat()), task(), Believing(), lambda _: next(chains))
    assert prediction.label == "gull"
    assert dict(prediction.ranking.entries) == {"gull": 3, "wren": 1, "tern": 1}
    assert [(played.candidates, played.queries) for played in prediction.trace] == [(5, 5), (5, 5)]


def test_they_wrap_and_are_wrapped_in_specs():
    builder = Builder(PluginHost.load().registry)
    assert builder.strategy("describe+dci:group_size=20") == Describe(DCI(group_size=20))
    assert builder.strategy("self-consistency:samples=3") == SelfConsistency(Flat(), samples=3)
    assert builder.strategy("vote+plan-and-solve:max-tokens=9+cot").inner == PlanAndSolve(
        ChainOfThought(Flat()), max_tokens=9
    )


def test_a_model_that_draws_nothing_is_refused_before_it_is_asked():
    class Greedy(ScriptedBackend):
        capabilities = frozenset({Capability.LIKELIHOOD, Capability.GENERATE})

    check_capabilities(ChainOfThought(Flat()), Greedy())
    with pytest.raises(CapabilityError, match="needs sample"):
        check_capabilities(SelfConsistency(Flat()), Greedy())


def test_the_list_of_strategies_shows_where_they_come_from(vlmkit_here):
    shown = vlmkit_here("ls", "strategies").stdout
    for source in ("arXiv 2205.11916", "arXiv 2305.04091", "arXiv 2203.11171", "arXiv 2605.24799", "arXiv 2403.13805"):
        assert source in shown
