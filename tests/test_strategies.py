"""Flat and vote, and what every built-in strategy has in common."""

from __future__ import annotations

import subprocess
import sys

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmkit import (
    Answer,
    Ask,
    Classify,
    Generate,
    Image,
    Letter,
    Prediction,
    Ranking,
    Reply,
    Strategy,
    Task,
)
from vlmkit.errors import SpecError, StrategyError
from vlmkit_adapters.scripted import ScriptedBackend
from vlmkit_strategies.aggregators import Borda, Product, Winners
from vlmkit_strategies.aggregators import Vote as Plurality
from vlmkit_strategies.dci import DCI
from vlmkit_strategies.flat import Flat
from vlmkit_strategies.vote import Vote


def names(count: int) -> list[str]:
    return [f"label {number}" for number in range(count)]


def task(labels, *, picture: int = 0, seed: int = 0) -> Classify:
    image = Image(PIL.Image.new("RGB", (2, 2), (picture, 0, 0)))
    return Classify(images=(image,), labels=labels, id=f"{picture}.png", seed=seed)


QUESTION = Ask(images=task([]).images, question="How many dots?")


def drive(strategy: Strategy, task: Task, backend: ScriptedBackend) -> tuple[Prediction, list[list]]:
    """Solve one task by hand; return the prediction and the queries of each round."""
    solving, rounds = strategy.solve(task), []
    answers: list[Answer] | None = None
    while True:
        try:
            rounds.append(list(solving.send(answers)))
        except StopIteration as stop:
            return stop.value, rounds
        answers = list(backend.answer(rounds[-1]))


@pytest.mark.parametrize("strategy", [Flat(), DCI(), Vote(Flat()), Vote(DCI(group_size=4))], ids=str)
def test_it_is_a_strategy_and_needs_what_its_readout_needs(strategy) -> None:
    assert isinstance(strategy, Strategy)
    assert strategy.requires == {"likelihood"}


def test_strategies_import_no_torch() -> None:
    modules = "vlmkit_strategies.flat, vlmkit_strategies.dci, vlmkit_strategies.vote"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# flat


def test_flat_asks_once_about_everything() -> None:
    prediction, [[query]] = drive(Flat(), task(names(30)), ScriptedBackend(accuracy=1.0))
    assert [option.name for option in query.options] == names(30)
    assert prediction.label == prediction.ranking.labels[0]
    assert len(prediction.ranking) == 30
    (only,) = prediction.trace
    assert (only.candidates, only.queries, only.survivors) == (30, 1, (prediction.label,))


def test_flat_asks_nothing_where_there_is_nothing_to_ask() -> None:
    assert drive(Flat(), task([]), ScriptedBackend()) == (Prediction(None), [])
    prediction, rounds = drive(Flat(), task(["cat"]), ScriptedBackend())
    assert (prediction.label, rounds) == ("cat", [])
    prediction, rounds = drive(Flat(allow_none=True), task(["cat"]), ScriptedBackend(none_rate=1.0))
    assert (prediction.label, len(rounds)) == (None, 1)


def test_flat_predicts_null_for_none_and_for_an_invalid_reply() -> None:
    prediction, _ = drive(Flat(allow_none=True), task(names(5)), ScriptedBackend(none_rate=1.0))
    assert (prediction.label, prediction.trace[0].none) == (None, 1)
    prediction, _ = drive(Flat(readout=Reply()), task(names(5)), ScriptedBackend(invalid_rate=1.0))
    assert (prediction.label, prediction.trace[0].invalid) == (None, 1)


@pytest.mark.parametrize("strategy", [Flat(), DCI()])
def test_a_free_question_is_put_as_it_stands(strategy: Strategy) -> None:
    prediction, [[query]] = drive(strategy, QUESTION, ScriptedBackend(accuracy=1.0, truth={"memory": "three"}))
    assert query == Generate(images=QUESTION.images, text="How many dots?")
    assert (prediction.label, prediction.text) == (None, "three")


def test_flat_refuses_more_options_than_letters() -> None:
    drive(Flat(readout=Letter()), task(names(26)), ScriptedBackend())
    with pytest.raises(SpecError, match="26 letters for 27 options"):
        drive(Flat(readout=Letter()), task(names(27)), ScriptedBackend())


# vote


@given(
    count=st.integers(0, 30),
    inner=st.sampled_from([Flat(), Flat(readout=Reply()), DCI(group_size=4), DCI(policy="paper", group_size=3)]),
    picture=st.integers(0, 50),
    aggregator=st.sampled_from([Borda(), Plurality(), Winners()]),
)
def test_one_permutation_is_the_inner_strategy(count, inner, picture, aggregator) -> None:
    backend = ScriptedBackend(accuracy=0.5, none_rate=0.3, invalid_rate=0.3)
    plain, asked = drive(inner, task(names(count), picture=picture), backend)
    voted, asked_again = drive(
        Vote(inner, permutations=1, aggregator=aggregator), task(names(count), picture=picture), backend
    )
    assert (voted.label, voted.trace, asked_again) == (plain.label, plain.trace, asked)


def test_all_orders_go_out_in_the_same_rounds_and_the_first_is_the_given_one() -> None:
    _, [queries] = drive(Vote(Flat(), permutations=4), task(names(12)), ScriptedBackend())
    orders = [[option.name for option in query.options] for query in queries]
    assert orders[0] == names(12)
    assert all(sorted(order) == sorted(names(12)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4


def test_orders_depend_on_seed_and_id_alone() -> None:
    def orders(**changes) -> list:
        return drive(Vote(Flat()), task(names(9), **changes), ScriptedBackend())[1][0]

    assert orders(seed=2) == orders(seed=2)
    assert [query.options for query in orders(seed=2)] != [query.options for query in orders(seed=3)]


def test_inner_shuffles_differ_and_their_rounds_are_joined() -> None:
    inner = DCI(group_size=4)
    backend = ScriptedBackend(accuracy=0.6)
    prediction, rounds = drive(Vote(inner, permutations=3), task(names(16)), backend)
    assert [len(queries) for queries in rounds] == [12, 3]
    groups = {frozenset(option.name for option in query.options) for query in rounds[0]}
    assert len(groups) > 4
    assert [(round.candidates, round.queries) for round in prediction.trace] == [(16, 12), (4, 3)]
    assert set(prediction.ranking.labels) <= set(prediction.trace[0].survivors)


def test_voting_undoes_an_order_bias() -> None:
    backend = ScriptedBackend(accuracy=0.9, order_bias=4.0)

    def right(strategy: Strategy) -> int:
        tasks = [task(names(10), picture=picture) for picture in range(60)]
        return sum(
            drive(strategy, each, backend)[0].label == backend.right_option(each.images, names(10)) for each in tasks
        )

    plain = right(Flat())
    for aggregator in (Plurality(), Borda(), Product()):
        assert right(Vote(Flat(), permutations=7, aggregator=aggregator)) > plain + 10


def test_null_predictions_count_for_nothing() -> None:
    class Fixed:
        requires = frozenset()

        def __init__(self, *predictions: Prediction) -> None:
            self.left = iter(predictions)

        def solve(self, task: Task):
            yield []
            return next(self.left)

    def vote(*predictions: Prediction) -> Prediction:
        return drive(Vote(Fixed(*predictions), permutations=len(predictions)), task(["a", "b"]), ScriptedBackend())[0]

    null, raw, chosen = Prediction(None), Prediction("a dog?"), Prediction("b", Ranking([("b", 0.0)]))
    assert vote(null, raw, chosen, null).label == "b"
    assert vote(null, raw) == Prediction(None)


def test_a_free_question_passes_through() -> None:
    prediction, rounds = drive(Vote(Flat()), QUESTION, ScriptedBackend())
    assert (len(rounds[0]), prediction.text is None) == (1, False)


def test_scores_are_needed_only_where_they_are_used() -> None:
    backend = ScriptedBackend()
    assert drive(Vote(Flat(readout=Reply())), task(names(5)), backend)[0].label is not None
    with pytest.raises(StrategyError, match="needs scores"):
        drive(Vote(Flat(readout=Reply()), aggregator=Product()), task(names(5)), backend)
