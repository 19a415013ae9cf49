"""The answer cache: what is keyed, what is replayed, and what is never kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import PIL.Image
import pytest
from attrs import define, evolve, field, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vlmkit import (
    Capability,
    Choose,
    Concurrent,
    Encode,
    Encoding,
    Engine,
    Example,
    Failed,
    Generate,
    Image,
    Intervention,
    Label,
    LabelSpace,
    Letter,
    Likelihood,
    Mask,
    Prompt,
    Reply,
    Text,
    Usage,
    arbitrary,
)
from vlmkit.cache import AnswerStore, cached
from vlmkit.cache.keys import Keys
from vlmkit.cache.values import from_bytes, to_bytes
from vlmkit.errors import BackendError, CacheError
from vlmkit.local.digests import beside_weights
from vlmkit.testing.strategies import ballots, label_names
from vlmkit_adapters.openai import ServerBackend
from vlmkit_strategies.dci import DCI


def picture(shade: int, source: str = "memory") -> Image:
    return Image(PIL.Image.new("RGB", (2, 2), (shade % 256, shade // 256, 0)), source)


@define
class Recorder:
    """Answers arbitrarily but always alike, and notes what it was asked."""

    identity: dict = field(factory=lambda: {"model": "recorder", "weights": "1"})
    lives: int = 10**9
    asked: list[list] = field(factory=list)
    capabilities: frozenset[Capability] = frozenset(Capability)

    def answer(self, queries):
        if len(self.asked) == self.lives:
            raise KeyboardInterrupt
        self.asked.append(list(queries))
        return [evolve(arbitrary.answer(query), usage=Usage(queries=1, forwards=1, seconds=0.5)) for query in queries]

    def close(self):
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A new file at each call."""
    made = tmp_path_factory.mktemp("answers")
    numbers = iter(range(10**6))
    return lambda: made / f"{next(numbers)}.sqlite"


@frozen
class Shift(Intervention):
    """An intervention whose only field is what it depends on."""

    by: int
    requires = Capability.REDUCE


class Private(Intervention):
    """An intervention that does not tell what it depends on."""

    requires = Capability.REDUCE

    def __init__(self, by):
        self._by = by


# Keys

CHOOSE = Choose([picture(1), picture(2)], [Label("a"), Label("b", "a letter", ["bee"])])
GENERATE = Generate([picture(1)], "What is this?")
ENCODE = Encode([picture(1)], "What is this?")
CHANGES = [
    (CHOOSE, "images", [picture(1), picture(3)]),
    (CHOOSE, "images", [picture(2), picture(1)]),
    (CHOOSE, "images", [picture(1)]),
    (CHOOSE, "options", CHOOSE.options[::-1]),
    (CHOOSE, "options", [Label("a"), Label("B", "a letter", ["bee"])]),
    (CHOOSE, "options", [Label("a"), Label("b", "a letter", ["be"])]),
    (CHOOSE, "prompt", Prompt("{% for option in options %}{{ option.name }}{% endfor %}?")),
    (CHOOSE, "readout", Letter()),
    (CHOOSE, "readout", Reply()),
    (CHOOSE, "readout", Reply(max_tokens=65)),
    (CHOOSE, "readout", Reply(parser="whole-label-v1")),
    (CHOOSE, "readout", Likelihood(normalise="mean")),
    (CHOOSE, "readout", Likelihood(end="never")),
    (CHOOSE, "allow_none", True),
    (CHOOSE, "interventions", [Mask("all")]),
    (CHOOSE, "interventions", [Shift(1)]),
    (CHOOSE, "interventions", [Shift(2)]),
    (CHOOSE, "interventions", [Shift(1), Shift(2)]),
    (CHOOSE, "interventions", [Shift(2), Shift(1)]),
    (GENERATE, "text", "What is that?"),
    (GENERATE, "max_tokens", 257),
    (GENERATE, "temperature", 0.5),
    (GENERATE, "seed", 1),
    (GENERATE, "images", []),
    (GENERATE, "interventions", [Mask("all")]),
    (ENCODE, "at", ["layer:0"]),
    (ENCODE, "at", ENCODE.at[::-1]),
    (ENCODE, "pool", "last"),
    (ENCODE, "text", ""),
]
QUERIES = [CHOOSE, GENERATE, ENCODE, *(evolve(query, **{name: value}) for query, name, value in CHANGES)]

WEIGHTS = st.sampled_from(["1", "2", "猫"])


def test_every_thing_that_matters_changes_the_key():
    keys = [Keys(Recorder()).of(query) for query in QUERIES]
    assert None not in keys and len(set(keys)) == len(keys)


@given(st.sampled_from(QUERIES), st.sampled_from(QUERIES), WEIGHTS, WEIGHTS)
def test_equal_keys_are_of_equal_queries_and_equal_models(one, other, weights, others_weights):
    mine, others = (Keys(Recorder({"model": "m", "weights": word})) for word in (weights, others_weights))
    assert (mine.of(one) == others.of(other)) == ((one, weights) == (other, others_weights))


def test_what_changes_no_answer_changes_no_key():
    template = CHOOSE.prompt.template
    renamed = evolve(
        CHOOSE,
        images=[picture(1, "here.png"), picture(2, "there.png")],
        prompt=Prompt("{# the same words #}" + template, name="mine.jinja"),
    )
    loaded = Recorder({"model": "recorder", "weights": "1", "device": "an H100", "parameters": 7})
    assert Keys(loaded).of(renamed) == Keys(Recorder()).of(CHOOSE)


def test_what_cannot_be_told_is_not_kept(folder):
    assert Keys(Recorder()).of(evolve(CHOOSE, interventions=[Private(1)])) is None
    with AnswerStore.open(folder()) as store, pytest.raises(CacheError, match="of x cannot be kept: its identity"):
        cached(Recorder({"model": "x", "weights": object()}), store).answer([CHOOSE])


def test_files_beside_the_weights_are_keyed(tmp_path):
    def told(**files: str) -> str | None:
        for name, content in files.items():
            (tmp_path / name.replace("_", ".")).write_text(content)
        return beside_weights(str(tmp_path))

    found = [told(config_json="{}"), told(chat_jinja="a"), told(chat_jinja="b"), told(tokenizer_json="{}")]
    assert len(set(found)) == 4
    assert told(model_safetensors="weights have their own") == found[-1]


# Values


@given(ballots(), st.lists(st.floats(allow_nan=False), min_size=8, max_size=8), label_names())
def test_ballots_come_back_bit_for_bit(ballot, scores, prompt):
    if ballot.log_probs is not None:
        ballot = evolve(ballot, log_probs=tuple(scores[: len(ballot.options)]))
    ballot = evolve(ballot, prompt=prompt)
    query = Choose([], map(Label, ballot.options))
    again = from_bytes(to_bytes(ballot), query, ballot.usage)
    assert again == ballot
    assert repr(again) == repr(ballot)  # -0.0 equals 0.0


@given(st.binary(min_size=4, max_size=64))
def test_features_come_back_bit_for_bit(content):
    vector = np.frombuffer(content[: len(content) // 4 * 4], "<f4")
    answer = Encoding(dict.fromkeys(ENCODE.at, vector), prompt="p")
    again = from_bytes(to_bytes(answer), ENCODE, Usage(cached=1))
    assert list(again.features) == list(ENCODE.at) and again.prompt == "p" and again.usage.cached == 1
    for found in again.features.values():
        assert found.dtype == np.float32 and found.tobytes() == vector.tobytes()


# Replays


def comparable(answers: Sequence) -> list:
    """What was answered, without what it cost."""
    return [
        {site: vector.tobytes() for site, vector in answer.features.items()}
        if isinstance(answer, Encoding)
        else evolve(answer, usage=Usage())
        for answer in answers
    ]


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=25)
@given(calls=st.lists(st.lists(st.sampled_from(QUERIES), max_size=6), max_size=5))
def test_a_cache_changes_no_answer_and_asks_everything_once(folder, calls):
    backend = Recorder()
    with AnswerStore.open(folder()) as store:
        for queries in calls:
            # Another process has its own backend and nothing in memory.
            answers = cached(backend, store).answer(queries)
            assert comparable(answers) == comparable(Recorder().answer(queries))
            spent = sum((answer.usage for answer in answers), Usage())
            assert spent.queries == len(queries) == spent.cached + spent.forwards
    asked = Counter(id(query) for queries in backend.asked for query in queries)
    assert all(count == 1 for count in asked.values())
    assert all(backend.asked), "a call of which nothing is missing reaches no model"
    assert len(asked) == len({id(query) for queries in calls for query in queries})


def test_the_missing_go_on_in_one_call_and_in_order(folder):
    backend = Recorder()
    with AnswerStore.open(folder()) as store:
        around = cached(backend, store)
        around.answer([CHOOSE, ENCODE])
        around.answer([GENERATE, CHOOSE, QUERIES[5], GENERATE, ENCODE, QUERIES[4]])
    assert backend.asked[1:] == [[GENERATE, QUERIES[5], QUERIES[4]]]


@define
class Moody(Recorder):
    """Fails at first."""

    def answer(self, queries):
        answers = super().answer(queries)
        if len(self.asked) == 1:
            return [Failed(BackendError("not today"), usage=Usage(retries=2)) for _ in queries]
        return answers


def test_failed_answers_are_not_kept(folder):
    with AnswerStore.open(folder()) as store:
        around = cached(Moody(), store)
        failed = around.answer([CHOOSE, CHOOSE])
        assert [str(answer.error) for answer in failed] == ["not today"] * 2
        assert sum((answer.usage for answer in failed), Usage()) == Usage(retries=2)
        assert comparable(around.answer([CHOOSE])) == comparable([arbitrary.answer(CHOOSE)])


@define
class Dicer(Recorder):
    """Draws its replies."""

    concurrent_calls = 4

    def depends_on(self, query):
        return None if isinstance(query, Generate) else {}

    def answer(self, queries):
        return [Text(f"{len(self.asked)}-{index}") for index, _ in enumerate(super().answer(queries))]


def test_replies_left_to_chance_are_not_kept_nor_shared(folder):
    with AnswerStore.open(folder()) as store:
        around = cached(Dicer(), store)
        assert [answer.text for answer in around.answer([GENERATE, GENERATE])] == ["1-0", "1-1"]
        assert [answer.text for answer in around.answer([GENERATE])] == ["2-0"]
        assert store.holdings() == []


@pytest.mark.parametrize("greedy", ["yes", "no"])
def test_what_a_server_draws_is_left_to_chance(greedy):
    told = {"logprobs": "yes", "token_ids": "no", "choices": "none", "length": "max_tokens", "greedy": greedy}
    server = ServerBackend("m", "http://127.0.0.1:9/v1", **told)
    assert server.depends_on(evolve(CHOOSE, readout=Letter())) == {}
    assert server.depends_on(evolve(GENERATE, temperature=0.7, seed=1)) is None
    for query in (GENERATE, evolve(CHOOSE, readout=Reply())):
        assert server.depends_on(query) == (None if greedy == "no" else {})
    server.close()


def test_a_backend_that_takes_several_calls_at_once_still_does(folder):
    with AnswerStore.open(folder()) as store:
        server, local = cached(Dicer(), store), cached(Recorder(), store)
        assert isinstance(server, Concurrent) and server.concurrent_calls == 4
        assert not isinstance(local, Concurrent)


@pytest.mark.parametrize("lives", [1, 2, 3])
def test_a_tournament_that_was_cut_off_asks_only_what_is_missing(folder, lives):
    labels = LabelSpace(f"label {number}" for number in range(30))
    examples = [Example(str(shade), (picture(shade).pixels,)) for shade in range(3)]
    path, strategy = folder(), DCI(group_size=3)

    def solve(backend) -> list:
        return [solved.prediction for solved in Engine(strategy, backend).solve(examples, labels)]

    whole = Recorder()
    expected = solve(whole)
    assert len(whole.asked) > 3, "the tournament has rounds to be cut off in"

    dying, heir = Recorder(lives=lives), Recorder()
    with AnswerStore.open(path) as store, pytest.raises(KeyboardInterrupt):
        solve(cached(dying, store))
    with AnswerStore.open(path) as store:
        assert solve(cached(heir, store)) == expected
    assert dying.asked == whole.asked[:lives]
    assert heir.asked == whole.asked[lives:]
