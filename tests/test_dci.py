"""Divide-and-conquer inference: cost, the published algorithm step by step, and every option."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import PIL.Image
import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from vlmkit import Ballot, Choose, Classify, Image, Letter, Likelihood, Prediction, Ranking, Reply
from vlmkit.errors import SpecError, UnknownNameError
from vlmkit.parsers import ballot_from_reply
from vlmkit_adapters.scripted import ScriptedBackend
from vlmkit_strategies.aggregators import Borda, TopK, Vote, Winners
from vlmkit_strategies.dci import DCI, POLICIES

PICTURE = Image(PIL.Image.new("RGB", (2, 2)))


def names(count: int) -> list[str]:
    return [f"label {number}" for number in range(count)]


def task(labels, *, id: str = "a/1.jpg", seed: int = 0) -> Classify:
    return Classify(images=(PICTURE,), labels=labels, id=id, seed=seed)


def drive(strategy, task, answer: Callable[[Choose], Ballot]) -> tuple[Prediction, list[list[Choose]]]:
    """Solve one task by hand; return the prediction and the queries of each round."""
    solving, answers, rounds = strategy.solve(task), None, []
    while True:
        try:
            rounds.append(list(solving.send(answers)))
        except StopIteration as stop:
            return stop.value, rounds
        answers = [answer(query) for query in rounds[-1]]


def replying(reply: Callable[[tuple[str, ...]], str]) -> Callable[[Choose], Ballot]:
    return lambda query: ballot_from_reply(query, reply(tuple(option.name for option in query.options)))


def first_option(query: Choose) -> Ballot:
    return Ballot.scored([option.name for option in query.options], [-float(i) for i in range(len(query.options))])


def shown(rounds: list[list[Choose]]) -> list[list[tuple[str, ...]]]:
    return [[tuple(option.name for option in query.options) for query in queries] for queries in rounds]


# Cost


@pytest.mark.parametrize(
    ("labels", "group_size", "queries", "levels"),
    [(1000, 10, 111, 3), (1000, 20, 54, 3), (1000, 50, 21, 2), (1000, 2, 1001, 10), (200, 10, 23, 3), (10, 10, 1, 1)],
)
def test_number_of_questions_when_every_group_has_a_survivor(labels, group_size, queries, levels) -> None:
    dci = DCI(policy="paper", group_size=group_size)
    _, rounds = drive(dci, task(names(labels)), replying(lambda options: options[0]))
    assert sum(map(len, rounds)) == queries
    assert len(rounds) == levels


def test_a_knockout_without_none_takes_one_match_for_each_loser() -> None:
    _, rounds = drive(DCI(group_size=2), task(names(1000)), first_option)
    assert sum(map(len, rounds)) == 999


# The published algorithm


def published(names: list[str], size: int, seed: int, image_id: str, ask: Callable[[tuple[str, ...]], str]):
    """Algorithm 1 of release 0.4.0, in plain steps: the prediction and everything that was asked, in order."""
    asked = []

    def validated(chunk):
        asked.append(tuple(chunk))
        reply = ask(tuple(chunk))
        return reply if reply in chunk else None

    if not names:
        return None, asked
    if len(names) == 1:
        return names[0], asked
    digest = hashlib.sha256(str(seed).encode("utf-8") + b"\x00" + image_id.encode("utf-8")).digest()
    rng = random.Random(int.from_bytes(digest[:8], "big"))
    active = list(names)
    while len(active) > size:
        shuffled = active[:]
        rng.shuffle(shuffled)
        winners = [validated(shuffled[start : start + size]) for start in range(0, len(shuffled), size)]
        active = [winner for winner in winners if winner is not None]
    if len(active) == 0:
        return None, asked
    if len(active) == 1:
        return active[0], asked
    return validated(active), asked


class Replies:
    """Replies by a drawn pattern: an option, ``None``, or an option in the wrong case, which is invalid."""

    def __init__(self, pattern: list[int]) -> None:
        self.pattern, self.given = pattern, 0

    def __call__(self, options: tuple[str, ...]) -> str:
        move = self.pattern[self.given % len(self.pattern)]
        self.given += 1
        return {-1: "None", -2: options[0].upper()}.get(move) or options[move % len(options)]


@given(
    count=st.integers(0, 60),
    size=st.integers(2, 10),
    seed=st.integers(0, 2**40),
    image_id=st.text(max_size=12),
    pattern=st.lists(st.integers(-2, 9), min_size=1, max_size=30),
)
@example(count=60, size=5, seed=7, image_id="dogs/ü 1.jpg", pattern=[-1])
@example(count=41, size=10, seed=0, image_id="", pattern=[3, -1, -2, 0])
def test_paper_policy_is_the_published_algorithm(count, size, seed, image_id, pattern) -> None:
    label, asked = published(names(count), size, seed, image_id, Replies(pattern))
    prediction, rounds = drive(
        DCI(policy="paper", group_size=size), task(names(count), id=image_id, seed=seed), replying(Replies(pattern))
    )
    queries = [query for queries in rounds for query in queries]
    assert prediction.label == label
    assert [chunk for level in shown(rounds) for chunk in level] == asked
    assert all(query.allow_none and query.readout == Reply(parser="exact-raw-v1") for query in queries)


def test_groups_depend_on_seed_and_id_alone() -> None:
    def groups(**changes):
        return shown(drive(DCI(group_size=5), task(names(30), **changes), first_option)[1])

    assert groups(id="x", seed=3) == groups(id="x", seed=3)
    assert len({str(groups(**changes)) for changes in ({}, {"seed": 1}, {"id": "b"})}) == 3


def test_paper_policy_asks_about_a_label_alone_and_scored_does_not() -> None:
    def replies(options):
        return "None" if len(options) == 1 else options[0]

    prediction, rounds = drive(DCI(policy="paper", group_size=10), task(names(101)), replying(replies))
    assert [len(queries) for queries in rounds] == [11, 1]
    assert (prediction.trace[0].none, len(prediction.trace[0].survivors)) == (1, 10)
    prediction, rounds = drive(DCI(group_size=10), task(names(101)), first_option)
    assert [len(queries) for queries in rounds] == [10, 1, 1]
    assert len(prediction.trace[0].survivors) == 11


# What changed between releases: one option for each


class TestJune2026:
    june = DCI(policy="june-2026", group_size=3)

    def test_groups_follow_the_list(self) -> None:
        _, rounds = drive(self.june, task(list("abcdefgh")), replying(lambda options: options[0]))
        assert shown(rounds) == [[("a", "b", "c"), ("d", "e", "f"), ("g", "h")], [("a", "d", "g")]]
        _, rounds = drive(evolve(self.june, grouping="random"), task(list("abcdefgh")), replying(lambda o: o[0]))
        assert shown(rounds)[0] != [("a", "b", "c"), ("d", "e", "f"), ("g", "h")]

    def test_all_groups_empty_forces_one_flat_question_without_none(self) -> None:
        def replies(options):
            return "b" if len(options) == 5 else "None"

        prediction, rounds = drive(self.june, task(list("abcde")), replying(replies))
        assert prediction.label == "b"
        assert shown(rounds)[-1] == [("a", "b", "c", "d", "e")]
        assert not rounds[-1][0].allow_none
        prediction, rounds = drive(evolve(self.june, on_empty="null"), task(list("abcde")), replying(replies))
        assert (prediction.label, len(rounds)) == (None, 1)

    def test_the_last_question_offers_no_none(self) -> None:
        _, rounds = drive(self.june, task(list("abcde")), replying(lambda options: options[0]))
        assert [[query.allow_none for query in queries] for queries in rounds] == [[True, True], [False]]
        _, rounds = drive(evolve(self.june, final_allow_none=True), task(list("abcde")), replying(lambda o: o[0]))
        assert rounds[-1][0].allow_none

    def test_an_unmatched_last_reply_is_returned_raw(self) -> None:
        prediction, _ = drive(self.june, task(list("abc")), replying(lambda options: "a dog?"))
        assert (prediction.label, prediction.trace[-1].invalid) == ("a dog?", 1)
        prediction, _ = drive(evolve(self.june, final_invalid="null"), task(list("abc")), replying(lambda o: "a dog?"))
        assert prediction.label is None

    def test_a_single_survivor_is_still_asked_about(self) -> None:
        def replies(options):
            return "a" if "a" in options else "None"

        _, rounds = drive(self.june, task(list("abcde")), replying(replies))
        assert shown(rounds)[-1] == [("a",)]
        prediction, rounds = drive(evolve(self.june, single_survivor="return"), task(list("abcde")), replying(replies))
        assert (prediction.label, len(rounds)) == ("a", 1)
        assert len(drive(self.june, task(["a"]), replying(replies))[1]) == 1

    def test_replies_are_trimmed_and_case_folded(self) -> None:
        assert drive(self.june, task(list("abc")), replying(lambda options: '"B".'))[0].label == "b"
        exact = evolve(self.june, readout=Reply(parser="exact-raw-v1"), final_invalid="null")
        assert drive(exact, task(list("abc")), replying(lambda options: '"B".'))[0].label is None


# Options


def test_a_policy_sets_defaults_that_options_override() -> None:
    for policy, defaults in POLICIES.items():
        dci = DCI(policy=policy)
        assert {name: getattr(dci, name) for name in defaults} == dict(defaults)
    assert DCI() == DCI(policy="scored")
    dci = DCI(policy="paper", grouping="list", group_size=10)
    assert (dci.grouping, dci.allow_none, dci.readout) == ("list", True, Reply())
    assert DCI(policy="paper").requires == {"generate"}


def test_wrong_options_are_refused_with_a_hint() -> None:
    with pytest.raises(ValueError, match="group_size"):
        DCI(group_size=1)
    with pytest.raises(UnknownNameError, match="did you mean paper"):
        DCI(policy="papers")
    with pytest.raises(SpecError, match="needs similarity; give similarity=FILE"):
        DCI(grouping="most-similar")
    with pytest.raises(SpecError, match="makes no use of similarity"):
        DCI(similarity=Path("s.npz"))


@pytest.mark.parametrize("aggregator", [TopK(k=5), TopK(k=9), Borda()], ids=str)
def test_an_aggregator_that_keeps_a_full_group_is_refused_at_once(aggregator) -> None:
    with pytest.raises(SpecError, match="keeps 5 of 5 labels; use winners"):
        DCI(group_size=5, aggregator=aggregator)


def test_an_aggregator_that_stops_shrinking_is_stopped() -> None:
    def keep_all_of_several(ballots) -> Ranking:
        if len(ballots) == 1:
            return Winners()(ballots)
        return Ranking([(name, 0.0) for ballot in ballots for name in ballot.options])

    with pytest.raises(SpecError, match="keeps 12 of 12"):
        drive(DCI(group_size=4, aggregator=keep_all_of_several), task(names(12)), first_option)


def test_topk_lets_several_survive_each_group() -> None:
    dci = DCI(group_size=5, grouping="list", aggregator=TopK(k=2))
    prediction, rounds = drive(dci, task(list("abcdefghijk")), first_option)
    assert shown(rounds) == [[tuple("abcde"), tuple("fghij")], [("a", "b", "f", "g", "k")]]
    assert prediction.trace[0].survivors == ("a", "b", "f", "g", "k")


def test_the_trace_tells_of_every_round() -> None:
    def replies(options):
        return {"a": "None", "d": "???"}.get(options[0], options[0])

    dci = DCI(policy="paper", grouping="list", group_size=3)
    prediction, _ = drive(dci, task(list("abcdefghijkl")), replying(replies))
    first, last = prediction.trace
    assert (first.candidates, first.queries, first.survivors, first.none, first.invalid) == (12, 4, ("g", "j"), 1, 1)
    assert (last.candidates, last.queries, last.survivors) == (2, 1, ("g",))


def test_more_letters_than_the_alphabet_are_refused() -> None:
    with pytest.raises(SpecError, match=r"26 letters for 40 options; .*group_size of at most 26"):
        drive(DCI(group_size=40, readout=Letter()), task(names(60)), first_option)


@given(
    count=st.integers(0, 60),
    size=st.integers(2, 10),
    none_rate=st.sampled_from([0.0, 0.5, 1.0]),
    policy=st.sampled_from(sorted(POLICIES)),
    aggregator=st.sampled_from([Winners(), Vote(), TopK(k=1)]),
)
def test_every_size_ends_in_a_sound_prediction(count, size, none_rate, policy, aggregator) -> None:
    backend = ScriptedBackend(accuracy=0.5, none_rate=none_rate, invalid_rate=0.2)
    dci = DCI(policy=policy, group_size=size, aggregator=aggregator, final_invalid="null")
    prediction, rounds = drive(dci, task(names(count)), lambda query: backend.answer([query])[0])
    assert prediction.label is None or prediction.label in names(count)
    assert [round.queries for round in prediction.trace] == [len(queries) for queries in rounds]
    assert all(len(query.options) <= size for queries in rounds[:-1] for query in queries)
    sizes = [count, *(len(round.survivors) for round in prediction.trace)]
    if dci.on_empty == "null":
        assert sizes == sorted(sizes, reverse=True)
    assert (prediction.label is None) or count > 0
    if policy == "scored" and count:
        assert prediction.label == prediction.ranking.labels[0]


def test_groups_beat_one_long_list_when_length_is_what_hurts() -> None:
    backend = ScriptedBackend(accuracy=0.99, dilution=0.01)
    pictures = [Image(PIL.Image.new("RGB", (1, 1), (number, 0, 0))) for number in range(60)]

    def right(size: int) -> int:
        tasks = [Classify(images=(picture,), labels=names(300)) for picture in pictures]
        return sum(
            drive(DCI(group_size=size), each, lambda query: backend.answer([query])[0])[0].label
            == backend.right_option(each.images, names(300))
            for each in tasks
        )

    assert right(10) > right(300) + 20


def test_null_outcome_of_a_scored_last_question() -> None:
    backend = ScriptedBackend(none_rate=1.0)
    dci = DCI(readout=Likelihood(), final_allow_none=True)
    prediction, _ = drive(dci, task(names(5)), lambda query: backend.answer([query])[0])
    assert prediction.label is None
    assert len(prediction.ranking) == 5
    assert prediction.trace[-1].none == 1
