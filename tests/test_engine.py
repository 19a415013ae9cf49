"""The engine: many strategies at once, results in order, a failing example stays alone."""

from __future__ import annotations

import io
from typing import ClassVar

import PIL.Image
import pytest
from attrs import define, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmkit import (
    Ask,
    Capability,
    Classify,
    Engine,
    Example,
    Failed,
    LabelSpace,
    Prediction,
    Ranking,
    Text,
    Usage,
    together,
)
from vlmkit.errors import BackendError, CapabilityError, ImageError, ServerError, SpecError, StrategyError
from vlmkit.runs.samples import sample_lines
from vlmkit_adapters.scripted import ScriptedBackend
from vlmkit_strategies.dci import DCI
from vlmkit_strategies.flat import Flat

LABELS = LabelSpace([f"label {index}" for index in range(30)])


def picture(shade: int) -> PIL.Image.Image:
    return PIL.Image.new("RGB", (4, 4), (shade % 256, shade // 256, 7))


def examples(count: int) -> list[Example]:
    return [Example(f"{index:03}", (picture(index),)) for index in range(count)]


@define
class Recorder:
    """A backend that notes how many queries came at once, and refuses the ids it is told to."""

    refuse: frozenset[str] = frozenset()
    inner: ScriptedBackend = field(factory=ScriptedBackend)
    calls: list[int] = field(factory=list)
    capabilities: frozenset[Capability] = frozenset(Capability)
    identity: ClassVar = {"model": "recorder"}

    def answer(self, queries):
        self.calls.append(len(queries))
        if any(image.source in self.refuse for query in queries for image in query.images):
            raise BackendError("refused")
        return self.inner.answer(queries)

    def close(self):
        pass


def predictions(engine: Engine, count: int, **settings):
    return [solved.prediction for solved in engine.solve(examples(count), LABELS, **settings)]


@settings(max_examples=30)
@given(st.integers(0, 12), st.integers(1, 5))
def test_results_come_in_order_whatever_the_window(count, in_flight):
    engine = Engine(DCI(group_size=4), ScriptedBackend(), in_flight=in_flight)
    solved = list(engine.solve(examples(count), LABELS))
    assert [one.example.id for one in solved] == [example.id for example in examples(count)]
    assert all(one.prediction is not None and one.error is None for one in solved)


@pytest.mark.parametrize("in_flight", [1, 3, 50])
def test_window_never_changes_a_prediction(in_flight):
    strategy = DCI(group_size=4)
    assert predictions(Engine(strategy, ScriptedBackend(), in_flight=in_flight), 9) == predictions(
        Engine(strategy, ScriptedBackend()), 9
    )


def test_seed_changes_the_groups():
    engine = Engine(DCI(group_size=4), ScriptedBackend(accuracy=0.5))
    assert predictions(engine, 9, seed=1) != predictions(engine, 9, seed=2)


def test_queries_of_all_examples_go_out_together():
    backend = Recorder()
    list(Engine(Flat(), backend, in_flight=8).solve(examples(20), LABELS))
    assert backend.calls == [8, 8, 4]


@define
class Concurrently(Recorder):
    concurrent_calls: int = 3


@settings(max_examples=20)
@given(st.integers(0, 12), st.integers(1, 5), st.integers(1, 4))
def test_backend_that_takes_several_calls_is_asked_for_each_example_by_itself(count, in_flight, calls):
    backend = Concurrently(concurrent_calls=calls)
    got = predictions(Engine(DCI(group_size=15), backend, in_flight=in_flight), count)
    assert got == predictions(Engine(DCI(group_size=15), ScriptedBackend()), count)
    assert sorted(backend.calls) == [1] * count + [2] * count  # two groups of 15 labels, then the two winners


def test_call_that_fails_fails_its_example_alone():
    backend = Concurrently(refuse=frozenset({"002"}))
    solved = list(Engine(Flat(), backend).solve(examples(5), LABELS))
    assert [one.example.id for one in solved if one.error is not None] == ["002"]


def test_usage_adds_up_over_the_rounds():
    (solved,) = Engine(DCI(group_size=4), ScriptedBackend()).solve(examples(1), LABELS)
    assert solved.usage.queries == sum(round.queries for round in solved.prediction.trace)


def test_unreadable_picture_fails_alone():
    mixed = [*examples(2), Example("torn", (b"not a picture",)), *examples(4)[2:]]
    solved = list(Engine(Flat(), ScriptedBackend()).solve(mixed, LABELS))
    assert [one.example.id for one in solved if one.error is not None] == ["torn"]
    assert isinstance(solved[2].error, ImageError)
    assert sum(one.prediction is not None for one in solved) == 4


def test_query_that_cannot_be_answered_fails_alone():
    backend = Recorder(refuse=frozenset({"002"}))
    solved = list(Engine(DCI(group_size=4), backend).solve(examples(5), LABELS))
    assert [one.example.id for one in solved if one.error is not None] == ["002"]
    assert isinstance(solved[2].error, BackendError)


def test_what_is_done_behind_others_is_kept_when_nothing_can_be_answered_any_more():
    @frozen
    class SlowFirst:
        requires = frozenset()

        def solve(self, task):
            for _ in range(2 if task.id == "000" else 1):
                yield [task.choose(task.labels)]
            return Prediction(None)

    class Dying(Recorder):
        def answer(self, queries):
            if self.calls:
                raise ServerError("it is gone")
            return super().answer(queries)

    solved = Engine(SlowFirst(), Dying(), in_flight=3).solve(examples(9), LABELS)
    assert [next(solved).example.id, next(solved).example.id] == ["001", "002"]
    with pytest.raises(ServerError, match="it is gone"):
        next(solved)


@frozen
class Misbehaving:
    how: str
    requires = frozenset()

    def solve(self, task):
        if self.how == "raises at once":
            raise ZeroDivisionError
        yield [task.choose(task.labels)]
        if self.how == "raises later":
            raise ZeroDivisionError
        if self.how == "is wrongly built":
            raise SpecError("no such thing", hint="write another")
        return "a string"


@pytest.mark.parametrize(
    ("how", "error"),
    [("raises at once", ZeroDivisionError), ("raises later", ZeroDivisionError), ("returns nonsense", StrategyError)],
)
def test_strategy_that_breaks_fails_its_example_only(how, error):
    (solved,) = Engine(Misbehaving(how), ScriptedBackend()).solve(examples(1), LABELS)
    assert isinstance(solved.error, error)


def test_users_mistake_stops_the_run():
    with pytest.raises(SpecError, match="no such thing"):
        list(Engine(Misbehaving("is wrongly built"), ScriptedBackend()).solve(examples(3), LABELS))


def test_missing_capability_is_refused_before_any_query():
    backend = Recorder(capabilities=frozenset({Capability.GENERATE}))
    with pytest.raises(CapabilityError, match="needs likelihood, which recorder cannot do"):
        list(Engine(Flat(), backend).solve(examples(1), LABELS))
    assert backend.calls == []


@define
class Selective(Recorder):
    """A recorder that says which queries it cannot answer, and answers the others."""

    def answer(self, queries):
        self.calls.append(len(queries))
        refused = [any(image.source in self.refuse for image in query.images) for query in queries]
        return [
            Failed(BackendError("refused"), usage=Usage(retries=2)) if no else self.inner.answer([query])[0]
            for no, query in zip(refused, queries, strict=True)
        ]


def test_failed_answer_fails_its_example_and_nothing_is_asked_twice():
    backend = Selective(refuse=frozenset({"002"}))
    solved = list(Engine(Flat(), backend).solve(examples(5), LABELS))
    assert [one.example.id for one in solved if one.error is not None] == ["002"]
    assert isinstance(solved[2].error, BackendError) and solved[2].usage.retries == 2
    assert backend.calls == [5]


@frozen
class Undaunted:
    """Predicts nothing where it gets no answer."""

    requires = frozenset()

    def solve(self, task):
        try:
            (ballot,) = yield [task.choose(task.labels)]
        except BackendError as error:
            return Prediction(None, text=str(error))
        return Prediction(ballot.choice)


def test_strategy_may_catch_a_failed_answer():
    backend = Selective(refuse=frozenset({"001"}))
    solved = list(Engine(Undaunted(), backend, keep_exchanges=True).solve(examples(3), LABELS))
    assert [one.error for one in solved] == [None] * 3
    assert solved[1].prediction == Prediction(None, text="refused")
    (line,) = sample_lines(solved[1])
    assert line["error"] == "refused" and line["id"] == "001"


def test_exchanges_are_kept_on_request():
    (solved,) = Engine(DCI(group_size=4), ScriptedBackend(), keep_exchanges=True).solve(examples(1), LABELS)
    asked = [exchange.round for exchange in solved.exchanges]
    assert asked == sorted(asked) and len(asked) == solved.usage.queries
    assert not next(iter(Engine(Flat(), ScriptedBackend()).solve(examples(1), LABELS))).exchanges


def test_question_becomes_an_ask_task():
    buffer = io.BytesIO()
    picture(3).save(buffer, "PNG")
    example = Example("q", (buffer.getvalue(),), question="What is it?")
    (solved,) = Engine(Flat(), ScriptedBackend()).solve([example], LABELS)
    assert solved.prediction.label is None and solved.prediction.text


def drive(solving, reply):
    """Run a solving to its end; ``reply`` answers each round."""
    rounds, answers = [], None
    try:
        while True:
            queries = solving.send(answers)
            rounds.append(list(queries))
            answers = [reply(query) for query in queries]
    except StopIteration as stop:
        return stop.value, rounds


def counting(task: Ask, times: int):
    """A solving that asks ``times`` rounds of ever more questions and returns all replies."""
    said = []
    for number in range(times):
        answers = yield [task.generate()] * (number + 1)
        said += [answer.text for answer in answers]
    return Prediction(None, Ranking(), text=" ".join(said))


@given(st.lists(st.integers(0, 4), max_size=5))
def test_together_equals_one_after_the_other(lengths):
    tasks = [Ask((), f"q{index}") for index in range(len(lengths))]

    def reply(query):
        return Text(query.text)

    def all_of_them():
        return (yield from together([counting(*pair) for pair in zip(tasks, lengths, strict=True)]))

    found, rounds = drive(all_of_them(), reply)
    alone = [drive(counting(*pair), reply)[0] for pair in zip(tasks, lengths, strict=True)]
    assert list(found) == alone
    assert len(rounds) == max(lengths, default=0)


def test_classify_task_has_no_question():
    assert isinstance(Classify((), LABELS).choose(LABELS[:2]).text, str)
