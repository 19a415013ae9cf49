"""The answer cache: what is keyed, what is replayed, and what becomes of its file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

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
    Pipeline,
    Prompt,
    Reply,
    Text,
    Usage,
    arbitrary,
)
from vlmkit.cache import AnswerStore, cached
from vlmkit.cache.keys import Keys
from vlmkit.cache.values import from_bytes, to_bytes
from vlmkit.errors import BackendError, CacheError, UnknownNameError
from vlmkit.local.beside import beside_weights
from vlmkit.testing.strategies import ballots
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


def test_every_thing_that_matters_changes_the_key():
    keys = [Keys(Recorder()).of(query) for query in QUERIES]
    assert None not in keys and len(set(keys)) == len(keys)


@given(st.sampled_from(QUERIES), st.sampled_from(QUERIES), st.text(max_size=3), st.text(max_size=3))
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


@given(ballots(), st.lists(st.floats(allow_nan=False), min_size=8, max_size=8), st.text(max_size=5))
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


# The file

WRITER = """
import sys, time
from pathlib import Path
from vlmkit.cache.store import AnswerStore

store, name = AnswerStore.open(Path(sys.argv[1])), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for batch in range(int(sys.argv[3])):
    store.write(name, {f"{name} {batch} {row}".encode(): name.encode() * 100 for row in range(10)})
    print(batch, flush=True)
    time.sleep(0.001)
"""


def writer(path: Path, name: str, batches: int) -> subprocess.Popen:
    arguments = [sys.executable, "-c", WRITER, str(path), name, str(batches)]
    return subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_processes_share_a_file_and_one_that_is_killed_loses_its_last_batch_at_most(folder):
    path = folder()
    with writer(path, "long", 10**6) as killed, writer(path, "short", 30) as other:
        for process in (killed, other):
            assert process.stdout.readline() == "ready\n"
            process.stdin.write("go\n")
            process.stdin.flush()
        assert other.wait(timeout=60) == 0
        told = [killed.stdout.readline() for _ in range(5)]
        killed.kill()
        told += killed.stdout.readlines()
    with AnswerStore.open(path) as store:
        found = {holding.model: holding.answers for holding in store.holdings()}
    assert found["short"] == 300
    assert found["long"] % 10 == 0 and found["long"] // 10 in (len(told), len(told) + 1)


def sqlite(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_what_is_no_cache_is_refused_and_left_as_it_is(folder):
    text, foreign, newer, torn = (folder() for _ in range(4))
    text.write_bytes(b"my thesis" * 1000)
    sqlite(foreign, "CREATE TABLE mail (body TEXT)")
    AnswerStore.open(newer).close()
    sqlite(newer, "PRAGMA user_version = 2")
    with AnswerStore.open(torn) as store:
        store.write("m", {bytes([number]): bytes(5000) for number in range(200)})
    torn.write_bytes(torn.read_bytes()[:4096] + b"\xff" * 8192)
    for path, reason in (
        (text, "no answer cache, or a damaged one"),
        (foreign, "an SQLite file, but no answer cache"),
        (newer, "has format 2, and this version of vlmkit reads 1"),
        (torn, "damaged"),
        (text.parent, "cannot be used"),
        (text / "below", "cannot be used"),
    ):
        before = path.read_bytes() if path.is_file() else b""
        with pytest.raises(CacheError, match=reason) as refused, AnswerStore.open(path) as store:
            store.read({b"\x01"})
        assert "\n" not in str(refused.value)
        assert before == (path.read_bytes() if path.is_file() else b"")


def test_a_damaged_answer_is_an_error_and_no_answer(folder):
    with AnswerStore.open(folder()) as store:
        around = cached(Recorder(), store)
        around.answer([CHOOSE])
        store._connection.execute("UPDATE answers SET answer = substr(answer, 1, 20)")
        with pytest.raises(CacheError, match="damaged"):
            around.answer([CHOOSE])


def test_neither_pictures_nor_their_names_are_in_the_file(folder):
    path = folder()
    noise = Image(PIL.Image.frombytes("RGB", (8, 8), np.random.default_rng(0).bytes(192)), "/home/me/secret.png")
    with AnswerStore.open(path) as store:
        cached(Recorder(), store).answer([evolve(query, images=[noise]) for query in QUERIES[:3]])
        rows = store._connection.execute("SELECT key, model, answer FROM answers").fetchall()
    everything = path.read_bytes() + b"".join(zlib.decompress(answer) for _, _, answer in rows)
    for secret in (noise.pixels.tobytes()[:16], b"secret.png", noise.digest.encode()):
        assert secret not in everything


def test_clearing_by_model_and_by_age(folder, monkeypatch):
    path = folder()
    with AnswerStore.open(path) as store:
        now = time.time()
        for model, age in (("old", 40), ("old", 3), ("new", 3)):
            monkeypatch.setattr(time, "time", lambda age=age: now - age * 86400)
            store.write(model, {f"{model}{age}".encode(): bytes(100_000)})
        monkeypatch.undo()
        size = path.stat().st_size
        with pytest.raises(UnknownNameError, match="did you mean old"):
            store.clear("olt")
        assert store.clear("new", older_than=30) == 0
        assert store.clear(older_than=30) == 1
        assert store.clear("old") == 1
        assert [(holding.model, holding.answers, holding.size) for holding in store.holdings()] == [("new", 1, 100_000)]
        assert store.clear() == 1
    assert path.stat().st_size < max(size, 50_000)


# As a user sees it


def without_usage(path: Path) -> list[str]:
    lines = (path / "predictions.jsonl").read_text().splitlines()
    return [line[: line.index('"usage"')] for line in lines]


def test_run_with_a_cache(vlmkit_here, tmp_path):
    command = ("run", "colours:images=6", "--model", "colours", "--strategy", "halves")
    place = {"XDG_CACHE_HOME": str(tmp_path / "caches"), "VLMKIT_CACHE": ""}
    plain = vlmkit_here(*command, "--output", "plain", **place)
    first = vlmkit_here(*command, "--output", "first", "--cache", **place)
    again = vlmkit_here(*command, "--output", "again", "--cache", **place)
    assert [done.returncode for done in (plain, first, again)] == [0, 0, 0], first.stderr + again.stderr
    assert without_usage(tmp_path / "plain") == without_usage(tmp_path / "first") == without_usage(tmp_path / "again")
    assert "cache" not in plain.stdout and "cache" not in first.stdout
    assert "18 (18 from the cache)" in again.stdout

    # The cache changes nothing about what a run is: without it, the same run goes on.
    resumed = vlmkit_here(*command, "--output", "again")
    assert resumed.returncode == 0 and "6 examples are done" in resumed.stderr

    file = tmp_path / "caches" / "vlmkit" / "answers.sqlite"
    assert vlmkit_here("cache", "path", **place).stdout == f"{file}\n"
    shown = vlmkit_here("cache", **place)
    assert shown.returncode == 0 and f"{file}: 18 answers" in shown.stdout and "colours" in shown.stdout
    assert '"answers": 18' in vlmkit_here("cache", "info", "--json", **place).stdout
    assert vlmkit_here("cache", "clear", "--model", "colors", **place).returncode == 2
    assert "18 answers removed" in vlmkit_here("cache", "clear", "--model", "colours", **place).stdout


def test_mistakes_with_the_option_are_one_line(vlmkit_here, tmp_path):
    swallowed = vlmkit_here("run", "--cache", "colours:images=6", "--model", "colours")
    assert swallowed.returncode == 2 and "no cache file: its name must end in .sqlite" in swallowed.stderr
    (tmp_path / "mine.sqlite").write_text("no database at all, but long enough to be looked at " * 50)
    foreign = vlmkit_here("run", "colours:images=6", "--model", "colours", "--strategy", "whole", "--cache=mine.sqlite")
    assert foreign.returncode == 2 and foreign.stderr.count("\n") == 1 and "no answer cache" in foreign.stderr
    assert vlmkit_here("cache", "--file", "none.sqlite").stdout == "none.sqlite: 0 answers, 0 bytes\n"
    assert "0 answers removed" in vlmkit_here("cache", "--file", "none.sqlite", "clear").stdout
    assert not (tmp_path / "none.sqlite").exists()


def test_the_embedded_model_answers_the_same_with_and_without(folder):
    from vlmkit_glyphs.dataset import Glyphs

    data = Glyphs(labels=20, images=2)
    path = folder()

    def solve(cache: Path | None) -> list:
        with Pipeline("tiny", DCI(group_size=5), cache=cache) as pipeline:
            found = list(pipeline.solve(data, data.labels))
            loaded.append("parameters" in pipeline.backend.identity)
            return found

    loaded: list[bool] = []
    plain, first, again = solve(None), solve(path), solve(path)
    assert loaded == [True, True, False], "what is all there needs no weights"
    assert [one.prediction for one in plain] == [one.prediction for one in first] == [one.prediction for one in again]
    assert sum((one.usage for one in again), Usage()) == Usage(queries=10, cached=10)
    assert sum(one.usage.cached for one in first) == 0
