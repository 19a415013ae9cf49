"""Answers from a server: right ones whatever goes wrong on the way, and a clear end where none can come."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat

import PIL.Image
import pytest

from served import FORCED, SCRIPTED, connecting, serving
from vlmkit import (
    Capability,
    Choose,
    Engine,
    Example,
    Failed,
    Generate,
    Image,
    Label,
    LabelSpace,
    Letter,
    Outcome,
    Reply,
)
from vlmkit.errors import CapabilityError, ServerError
from vlmkit.testing.server import Fault, Said
from vlmkit_adapters.openai import ServerBackend
from vlmkit_adapters.openai.gate import START
from vlmkit_strategies.dci import DCI


def picture(shade: int) -> PIL.Image.Image:
    return PIL.Image.new("RGB", (4, 4), (shade % 256, shade // 256, 7))


def choose(shade: int = 0, readout=None, options: int = 5, **more) -> Choose:
    labels = tuple(Label(f"label {index}") for index in range(options))
    return Choose((Image(picture(shade)),), labels, readout=readout or Letter(), **more)


@pytest.fixture
def connect():
    with connecting(**FORCED) as connect:
        yield connect


@pytest.mark.parametrize("allow_none", [False, True])
@pytest.mark.parametrize("readout", [Letter(), Reply()])
def test_answers_are_those_of_the_model_behind_the_server(connect, readout, allow_none):
    queries = [choose(shade, readout, allow_none=allow_none) for shade in range(10)]
    with serving() as server:
        got = connect(server).answer(queries)
    for one, expected in zip(got, SCRIPTED.answer(queries), strict=True):
        assert (one.choice, one.outcome) == (expected.choice, expected.outcome)
        if isinstance(readout, Letter):
            assert one.log_probs == pytest.approx(expected.log_probs)
            assert one.none_log_prob == pytest.approx(expected.none_log_prob)


def test_free_question_gets_the_reply():
    with serving(answer=lambda asked: Said(f"{len(asked.images)} and {asked.max_tokens}")) as server:
        backend = ServerBackend("fake", server.base_url, **FORCED)
        (text,) = backend.answer([Generate((Image(picture(1)), Image(picture(2))), "How many?", max_tokens=7)])
        backend.close()
    assert text.text == "2 and 7"


def test_a_connection_that_comes_while_all_are_closed_is_closed_too(connect, monkeypatch):
    made, connecting, closed = [], threading.Event(), threading.Event()
    create = socket.create_connection

    def create_late(*arguments, **options):
        connecting.set()
        assert closed.wait(60)
        made.append(create(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(socket, "create_connection", create_late)
    with serving() as server, ThreadPoolExecutor() as pool:
        backend = connect(server)
        answers = pool.submit(backend.answer, [choose()])
        assert connecting.wait(60)
        backend.close()
        closed.set()
        assert len(answers.result()) == 1
    assert [one.fileno() for one in made] == [-1]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", 408),
        Fault("status", 409),
        Fault("status", 429),
        Fault("status", 500),
        Fault("status", 503),
        Fault("cut"),
        Fault("malformed"),
        Fault("logprobs"),
        Fault("slow", seconds=3.0),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_passing_trouble_is_retried_and_counted(connect, fault):
    with serving(faults=[fault]) as server:
        (ballot,) = connect(server, timeout=1.0 if fault.kind == "slow" else 60.0).answer([choose()])
    assert ballot.choice == SCRIPTED.answer([choose()])[0].choice
    assert ballot.usage.retries == 1 and len(server.chats) == 2


@pytest.mark.parametrize("status", [400, 405, 413, 422])
def test_refused_query_is_never_retried_and_fails_alone(connect, status):
    with serving(faults=[Fault("status", status, message="too long")]) as server:
        failed, fine = connect(server).answer([choose(1), choose(1, Reply())])
    assert isinstance(failed, Failed) and "too long" in str(failed.error) and failed.usage.retries == 0
    assert not isinstance(fine, Failed) and len(server.chats) == 2


def test_retry_after_is_obeyed(connect):
    with serving(faults=[Fault("status", 429, retry_after="1")]) as server:
        connect(server).answer([choose()])
    first, second = server.chats
    assert 1.0 <= second.at - first.at < 10


def test_wait_that_nobody_has_time_for_fails_the_query(connect):
    with serving(faults=[Fault("status", 429, retry_after="86400")]) as server:
        (failed,) = connect(server).answer([choose()])
    assert "asks to wait 86,400 s" in str(failed.error) and len(server.chats) == 1


@pytest.mark.parametrize(
    "fault", [Fault("status", 500), Fault("status", 429, retry_after="0"), Fault("malformed")], ids=lambda one: one.kind
)
def test_query_fails_after_its_last_retry_while_the_server_answers_others(connect, fault):
    with serving(faults=[fault] * 3) as server:
        (failed,) = connect(server, max_retries=2).answer([choose()])
    assert isinstance(failed, Failed) and "3 times running" in str(failed.error)
    assert failed.usage.retries == 2 and len(server.chats) == 3


def test_server_sees_many_requests_at_once_and_never_more_than_allowed(connect):
    queries = [choose(shade) for shade in range(120)]
    with serving(seconds=0.05) as server:
        connect(server, concurrency=12).answer(queries)
    at_once = [request.at_once for request in server.chats]
    assert max(at_once[:START]) <= START < max(at_once) <= 12


def test_overloaded_server_gets_fewer_requests_at_once(connect):
    trouble = Fault("status", 429, retry_after="0.05")
    queries = [choose(shade) for shade in range(60)]
    with serving(seconds=0.01, faults=chain([trouble] * 8, repeat(None))) as server:
        connect(server).answer(queries)
    later = [request.at_once for request in server.chats][8 + START : 8 + START + 10]
    assert max(later) < START


def test_one_request_warms_the_cache_for_each_picture_and_all_send_the_same_bytes(connect):
    queries = [choose(shade, Reply(), options=count) for count in range(2, 8) for shade in range(4)]
    with serving(seconds=0.02) as server:
        answers = connect(server).answer(queries)
    by_picture = defaultdict(list)
    for request in server.chats:
        assert request.body["messages"][0]["content"][0]["type"] == "image_url"
        by_picture[request.picture_urls].append(request.at)
    assert len(by_picture) == 4
    for first, second, *_ in by_picture.values():
        assert second - first >= 0.02
    # Only the request that warms pays for its picture.
    assert sum(answer.usage.tokens.branch >= 100 for answer in answers) == 4


def test_baggage_of_the_file_does_not_change_the_bytes(connect):
    plain, baggage = picture(5), picture(5)
    baggage.info.update(icc_profile=b"profile", dpi=(300, 300), transparency=(1, 2, 3))
    queries = [Choose((Image(pixels),), (Label("a"),), readout=Letter()) for pixels in (plain, baggage)]
    with serving() as server:
        connect(server).answer(queries)
    first, second = server.chats
    assert first.picture_urls == second.picture_urls


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault("status", 500), "2 times running"),
        (Fault("status", 429), "2 times running"),
        (Fault("malformed"), "2 times running"),
        (Fault("status", 429, retry_after="86400"), "asks to wait 86,400 s"),
    ],
)
def test_server_that_answers_nothing_any_more_ends_the_run(connect, fault, told):
    with serving(faults=repeat(fault)) as server, pytest.raises(ServerError, match=f"{told}; see to the server"):
        connect(server, max_retries=1).answer([choose()])


def test_length_of_replies_is_limited_by_the_field_that_the_server_takes(connect):
    with serving(length="max_completion_tokens", answer=lambda asked: Said(str(asked.max_tokens))) as server:
        backend = connect(server, length="auto")
        (text,) = backend.answer([Generate((Image(picture(1)),), "How many?", max_tokens=7)])
        assert text.text == "7" and backend.offers.form.length == "max_completion_tokens"


@pytest.mark.parametrize("length", ["max_tokens", "max_completion_tokens"])
def test_server_that_refuses_the_temperature_0_is_asked_without(connect, length):
    queries = [choose(1, Reply()), choose(2)]
    with serving(length=length, greedy=False) as server:
        backend = connect(server, length="auto", greedy="auto")
        assert backend.identity["greedy"] is False and backend.offers.form.length == length
        answers = backend.answer(queries)
    assert [answer.choice for answer in answers] == [answer.choice for answer in SCRIPTED.answer(queries)]
    assert not any("temperature" in chat.body for chat in server.chats)


def test_server_that_takes_no_plain_question_is_told_from_one_that_lacks_something(connect):
    with serving(faults=[Fault("status", 400, message="this is no model for chat")] * 2) as server:
        with pytest.raises(ServerError, match=r"does not answer a plain question: .* \(this is no model for chat\)"):
            _ = connect(server, length="auto", logprobs="auto").identity
        assert len(server.requests) == 2


@pytest.mark.parametrize("logprobs", [True, False])
@pytest.mark.parametrize("choices", [None, "structured_outputs", "guided_choice"])
def test_offers_are_found_out_once_and_reported(connect, logprobs, choices):
    with serving(logprobs=logprobs, choices=choices) as server:
        backend = connect(server, **dict.fromkeys(FORCED, "auto"))
        assert server.requests == [] and Capability.LIKELIHOOD not in backend.capabilities
        identity = backend.identity
        offered = {"logprobs": logprobs, "token_ids": False, "choices": choices or "none"}
        assert offered.items() <= identity.items() and identity["greedy"] is True
        asked = len(server.requests)
        assert asked <= 5
        backend.answer([choose(1, Reply()), choose(2, Reply())])
        assert dict(backend.identity) == identity and len(server.requests) == asked + 2
        assert all(chat.body["temperature"] == 0 for chat in server.chats)


def test_choices_limit_replies_to_the_options(connect):
    def rambling(asked):
        return Said(asked.choices[-1] if asked.choices else "Well, it may be label 1, or not.")

    with serving(answer=rambling, choices="structured_outputs") as server:
        free, limited = connect(server), connect(server, choices="auto")
        assert free.answer([choose(0, Reply())])[0].outcome is Outcome.INVALID
        assert limited.answer([choose(0, Reply())])[0].choice == "label 4"
        assert limited.answer([choose(0, Reply(), allow_none=True)])[0].outcome is Outcome.NONE


def test_letters_without_log_probabilities_end_with_one_line(connect):
    with serving(logprobs=False) as server:
        backend = connect(server, logprobs="auto")
        with pytest.raises(ServerError, match=r"does not offer the readout letter; use readout=text"):
            backend.answer([choose()])


def test_letter_that_is_not_returned_ranks_below_those_that_are(connect):
    with serving(answer=lambda asked: Said("C", {"C": -0.5, " C": -2.0, "the": -1.5, "A": -3.0})) as server:
        (ballot,) = connect(server).answer([choose()])
    assert ballot.choice == "label 2" and ballot.log_probs[2] == pytest.approx(-0.29859, abs=1e-4)
    assert ballot.ranking.labels[:2] == ("label 2", "label 0")
    assert ballot.log_probs[1] == ballot.log_probs[4] and -3.001 < ballot.log_probs[1] < -3.0


def test_reply_without_any_letter_is_invalid(connect):
    with serving(answer=lambda asked: Said("The", {"The": -0.1, "It": -3.0})) as server:
        (ballot,) = connect(server).answer([choose()])
    assert ballot.outcome is Outcome.INVALID and ballot.reply == "The" and ballot.log_probs is None


def test_tokens_are_priced_by_the_users_table(connect, tmp_path):
    table = tmp_path / "prices.json"
    table.write_text(json.dumps({"fake": {"input": 2.0, "cached_input": 0.5, "output": 10.0}}))
    with serving() as server:
        first, second = connect(server, prices=table).answer([choose(0, Reply()), choose(0, Reply())])
    words = len(choose(0, Reply()).text.split())
    assert first.usage.tokens.branch == 100 + words and first.usage.tokens.generated == 2
    assert first.usage.cost == pytest.approx(((100 + words) * 2 + 2 * 10) / 1e6)
    assert second.usage.tokens.branch == words
    assert second.usage.cost == pytest.approx((words * 2 + 100 * 0.5 + 2 * 10) / 1e6)


def test_likelihood_is_refused_as_a_missing_capability(connect):
    labels = LabelSpace([f"label {index}" for index in range(30)])
    with serving() as server, pytest.raises(CapabilityError, match="needs likelihood, which fake cannot do"):
        list(Engine(DCI(), connect(server)).solve([Example("1", (picture(1),))], labels))


def test_missing_package_is_named_with_the_command(connect, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with serving() as server, pytest.raises(Exception, match=r"pip install 'vlmkit\[openai\]'"):
        connect(server).answer([choose()])
