"""Several servers of one model: each image has its own, and no answer depends on which of them is left."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import repeat

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from served import FORCED, SCRIPTED, connecting, serving
from vlmkit import Choose, Engine, Example, Failed, Image, LabelSpace, Letter
from vlmkit.data.images import open_image
from vlmkit.engine.models import build_backend
from vlmkit.errors import ServerError, SpecError
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing.server import FakeServer, Fault, answered_by
from vlmkit_adapters.openai import ServerBackend, patience
from vlmkit_adapters.openai.addresses import Address, addresses, ranked
from vlmkit_adapters.openai.gate import START
from vlmkit_adapters.openai.server import STRIKES
from vlmkit_strategies.dci import DCI

LABELS = LabelSpace(f"label {index}" for index in range(24))
PROCESS = """
import sys
from vlmkit.testing.server import FakeServer, answered_by
from vlmkit_adapters.scripted import ScriptedBackend

with FakeServer(answered_by(ScriptedBackend(accuracy=0.8, none_rate=0.05))) as server:
    print(server.base_url, flush=True)
    sys.stdin.read()
"""

urls = st.lists(st.integers(0, 99).map("http://node{}:8000/v1".format), min_size=1, max_size=6, unique=True)
keys = st.lists(st.text(max_size=8), min_size=1, max_size=6, unique=True)


def homes(servers: list[Address], keys: list[str]) -> dict[str, Address]:
    return {key: ranked(servers, key)[0] for key in keys}


@given(urls, keys, st.data())
def test_a_lost_server_moves_its_own_keys_and_no_other(urls, keys, data):
    servers = [Address(url, data.draw(st.sampled_from([0.5, 1.0, 3.0]))) for url in urls]
    lost = data.draw(st.sampled_from(servers))
    left = [server for server in servers if server != lost]
    for key in keys:
        order = ranked(servers, key)
        assert sorted(order, key=str) == sorted(servers, key=str)
        assert ranked(left, key) == [server for server in order if server != lost]


@given(urls, keys, st.data())
def test_a_server_with_more_weight_takes_keys_and_moves_no_other(urls, keys, data):
    chosen = data.draw(st.sampled_from(urls))
    before = homes([Address(url) for url in urls], keys)
    after = homes([Address(url, 2.5 if url == chosen else 1.0) for url in urls], keys)
    assert all(after[key].url in (before[key].url, chosen) for key in keys)


def test_keys_are_shared_out_by_weight_and_differ_in_their_second_server():
    servers = [Address("http://a/v1"), Address("http://b/v1"), Address("http://c/v1", weight=2)]
    orders = [ranked(servers, str(key)) for key in range(4000)]
    first = Counter(order[0].url[7] for order in orders)
    assert first["a"] == pytest.approx(1000, rel=0.1) and first["c"] == pytest.approx(2000, rel=0.1)
    second = Counter(order[1].url[7] for order in orders if order[0].url[7] == "c")
    assert second["a"] == pytest.approx(second["b"], rel=0.15)


def test_addresses_are_read_in_one_text_or_several():
    assert addresses("http://a/v1, http://b/v1;weight=2.5") == (Address("http://a/v1"), Address("http://b/v1", 2.5))
    assert list(map(str, addresses(["http://a/v1;weight=1", "http://b/v1;weight=3"]))) == [
        "http://a/v1",
        "http://b/v1;weight=3",
    ]


def test_one_address_may_be_a_text():
    made = Builder(PluginHost.load().registry)
    one, several, usual = (
        build_backend("openai:model=fake", made, base_url=given) for given in ("http://here", ["http://here"], None)
    )
    assert one.base_url == several.base_url == addresses("http://here")
    assert usual.base_url == build_backend("openai:model=fake", made).base_url


@pytest.mark.parametrize(
    ("base_url", "said"),
    [
        ("http://a/v1,http://a/v1", "names http://a/v1 twice; write http://a/v1;weight=2"),
        ("http://a/v1;weight=0", "is no weight"),
        ("http://a/v1;weight=inf", "is no weight"),
        ("http://a/v1;speed=2", "is no weight"),
        ("http://a/v1,", "is no http address"),
        ((), "is empty"),
    ],
)
def test_wrong_addresses_are_refused(base_url, said):
    with pytest.raises(SpecError, match=said):
        ServerBackend("fake", base_url)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.05)


@pytest.fixture
def serve() -> Iterator:
    with ExitStack() as stack:

        def start(**settings) -> FakeServer:
            return stack.enter_context(serving(**settings))

        yield start


@pytest.fixture
def connect():
    with connecting(**FORCED) as connect:
        yield connect


def examples(number: int) -> list[Example]:
    return [
        Example(str(index), (PIL.Image.new("RGB", (4, 4), (index, 0, 7)),), target="label 0") for index in range(number)
    ]


def choose(shade: int) -> Choose:
    return Choose((Image(PIL.Image.new("RGB", (4, 4), (shade, 9, 9))),), tuple(LABELS)[:5], readout=Letter())


def solved(backend) -> dict[str, str | None]:
    """The labels, and how many questions they took."""
    engine = Engine(DCI(group_size=5, readout=Letter()), backend)
    found = list(engine.solve(examples(40), LABELS))
    assert [one.example.id for one in found] == [str(index) for index in range(40)]
    labels = {one.example.id: one.prediction.label if one.prediction else str(one.error) for one in found}
    return {**labels, "questions": sum(one.usage.queries for one in found)}


@pytest.fixture(scope="module")
def expected() -> dict[str, str | None]:
    return solved(SCRIPTED)


def asked_at(server: FakeServer) -> Counter[str]:
    return Counter(request.picture_urls[0] for request in server.chats)


def test_all_questions_about_an_image_go_to_one_server_and_the_answers_are_those_of_one(serve, connect, expected):
    fleet = [serve() for _ in range(3)]
    assert solved(connect(*fleet)) == expected
    images = [set(asked_at(server)) for server in fleet]
    assert sum(map(len, images)) == len(set().union(*images)) == 40  # none at two
    assert all(images)
    alone = serve()
    solved(connect(alone))
    assert sum((asked_at(server) for server in fleet), Counter()) == asked_at(alone)


def test_a_process_that_asked_nothing_has_nothing_to_report(serve, connect):
    backend = connect(serve(), serve())
    assert backend.identity["model"] == "fake" and list(backend.report()) == []
    backend.answer([choose(1)])
    assert len(backend.report()) == 2


def test_weights_share_out_the_images(serve, connect):
    one, other = serve(), serve()
    backend = ServerBackend("fake", f"{one.base_url};weight=9,{other.base_url}", **FORCED)
    backend.answer([choose(shade) for shade in range(100)])
    backend.close()
    assert len(asked_at(one)) > 75 and len(asked_at(other)) > 0


def test_death_slowness_and_overload_cost_no_answer_and_move_no_image_of_the_sound(serve, connect, expected):
    dying = serve(faults=[None] * 20 + [Fault("death")])
    busy = serve(faults=[Fault("status", 429, retry_after="0.3"), Fault("status", 429), Fault("status", 503)] * 8)
    slow, sound = serve(seconds=0.02), serve()
    backend = connect(dying, busy, slow, sound)
    assert solved(backend) == expected
    lines = backend.report()
    assert [line.partition(": ")[0] for line in lines] == [one.base_url for one in (dying, busy, slow, sound)]
    assert " 0 errors" in lines[2] and " 0 errors" in lines[3]
    assert sum(int(line.split()[1]) for line in lines) == expected["questions"]
    fleet = (dying, busy, slow, sound)
    places = [Address(one.base_url) for one in fleet]
    for other in fleet:
        homes = {home(url, places) for url in asked_at(other)}
        assert homes.isdisjoint({one.base_url for one in (slow, sound) if one is not other})


def home(url: str, servers: list[Address]) -> str:
    return ranked(servers, open_image(base64.b64decode(url.partition(",")[2])).digest)[0].url


def test_a_wait_that_a_server_asks_for_is_kept_while_the_others_work(serve, connect):
    busy, free = serve(faults=repeat(Fault("status", 429, retry_after="60"))), serve()
    backend = connect(busy, free)
    assert not any(isinstance(answer, Failed) for answer in backend.answer([choose(shade) for shade in range(60)]))
    refused = busy.chats
    # Those that were under way together were all refused; none came after.
    assert 1 <= len(refused) <= START
    assert len(asked_at(free)) == 60


def test_a_server_that_fails_is_left_out_and_is_back_when_it_answers(serve, connect, caplog):
    failing, sound = serve(faults=[None] + [Fault("status", 500)] * (STRIKES + 2)), serve()
    backend = connect(failing, sound, concurrency=1)
    assert not any(isinstance(answer, Failed) for answer in backend.answer([choose(shade) for shade in range(40)]))
    assert f"{failing.base_url} answered 500" in caplog.text and "is left out" in caplog.text
    until = time.monotonic() + 10
    while "answers again" not in caplog.text and time.monotonic() < until:
        time.sleep(0.02)
    before = len(failing.chats)
    backend.answer([choose(shade) for shade in range(40)])
    assert len(failing.chats) - before == len(asked_at(failing)) > 5


def test_server_that_is_not_there_yet_takes_part_once_it_is(serve, connect, caplog):
    late, sound = serve(), serve()
    late.die()
    backend = connect(late, sound)
    backend.answer([choose(1)])
    assert "is left out" in caplog.text
    started = serve(port=late.port)
    until = time.monotonic() + 10
    while "answers again" not in caplog.text and time.monotonic() < until:
        time.sleep(0.02)
    backend.answer([choose(shade) for shade in range(20)])
    assert started.chats


def test_servers_that_are_all_dead_end_the_run_with_one_line(serve, connect):
    one, other = serve(), serve()
    backend = connect(one, other, max_retries=2)
    backend.answer([choose(1)])
    one.die()
    other.die()
    with pytest.raises(ServerError) as ended:
        backend.answer([choose(2)])
    message = str(ended.value)
    assert message.startswith("none of the 2 servers answers") and message.count("\n") == 0
    assert one.base_url in message and other.base_url in message and "the same command goes on" in message
    with pytest.raises(ServerError, match="none of the 2 servers answers"):
        connect(one, other).answer([choose(1)])


def test_question_that_no_server_can_answer_fails_alone(serve, connect):
    def poisoned(asked):
        if asked.images and asked.images[0].pixels.getpixel((0, 0)) == (3, 9, 9):
            raise ConnectionError
        return answered_by(SCRIPTED)(asked)

    backend = connect(serve(answer=poisoned), serve(answer=poisoned), max_retries=2)
    answers = backend.answer([choose(shade) for shade in range(6)])
    assert [isinstance(answer, Failed) for answer in answers] == [shade == 3 for shade in range(6)]
    assert answers[3].usage.retries >= 1


def test_servers_that_offer_different_things_or_refuse_us_end_the_run(serve, connect):
    one, other = serve(choices="structured_outputs"), serve()
    with pytest.raises(ServerError, match=r"differ in choices; start the servers alike, or say .* choices="):
        connect(one, other, choices="auto").answer([choose(1)])
    with pytest.raises(ServerError, match=r"answered 404.*check the model's name"):
        connect(one, serve(model="another")).answer([choose(1)])


@pytest.fixture
def process() -> Iterator:
    command = [sys.executable, "-c", PROCESS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        yield running
        running.kill()


def test_run_outlives_the_process_of_a_server_and_goes_on_with_others(serve, process, vlmkit_here, tmp_path, caplog):
    far = process.stdout.readline().strip()
    seen = Counter()

    def killing(asked):
        seen["questions"] += 1
        if seen["questions"] == 30:
            process.kill()
        return answered_by(SCRIPTED)(asked)

    near, third = serve(answer=killing), serve(seconds=0.005)
    command = ["run", "glyphs:labels=24,images=60", "--strategy", "dci:group_size=5,readout=letter", "--output"]
    model = "openai:model=fake," + ",".join(f"{key}={value}" for key, value in FORCED.items())
    first = ["--base-url", far, "--base-url", near.base_url, "--base-url", f"{third.base_url};weight=2"]
    ended = vlmkit_here(*command, "out", "--limit", "50", "--model", model, *first)
    assert ended.returncode == 0, ended.stderr
    assert f"{far}: " in ended.stderr and " errors, " in ended.stderr and "is left out" in caplog.text
    ended = vlmkit_here(*command, "out", "--model", model, "--base-url", near.base_url, "--base-url", third.base_url)
    assert ended.returncode == 0 and "50 examples are done" in ended.stderr
    assert vlmkit_here(*command, "alone", "--model", "scripted:accuracy=0.8,none_rate=0.05").returncode == 0
    served, alone = (
        [json.loads(line) for line in (tmp_path / name / "predictions.jsonl").read_text().splitlines()]
        for name in ("out", "alone")
    )
    assert [(one["id"], one["label"]) for one in served] == [(one["id"], one["label"]) for one in alone]
    assert len({one["id"] for one in served}) == len(served) == 60
    assert all(request.fault is None for request in near.chats)


def test_base_url_is_for_adapters_that_ask_servers(vlmkit_here):
    ended = vlmkit_here("run", "--model", "scripted", "--base-url", "http://127.0.0.1:1/v1")
    assert ended.returncode == 2 and "adapter scripted has no option base-url" in ended.stderr
