"""Letters by named tokens: exact where the server knows them by their ids, the likeliest tokens' where it does not."""

from __future__ import annotations

import json
import string

import PIL.Image
import pytest

from served import SCRIPTED, connecting, serving
from vlmkit import Choose, Image, Label, Letter
from vlmkit.errors import ServerError
from vlmkit.registry import Builder, PluginHost, Spec
from vlmkit.testing.server import FakeServer, Fault, answered_by, by_word
from vlmkit_adapters.tiny import CHECKPOINT, tiny

LETTERS = 26


def choose(shade: int = 0, **more) -> Choose:
    labels = tuple(Label(f"label {index}") for index in range(LETTERS))
    return Choose((Image(PIL.Image.new("RGB", (4, 4), (shade, 0, 7))),), labels, readout=Letter(), **more)


def by_character(text: str) -> list[int]:
    """Tokenize without any word as a token: None is four."""
    return [ord(character) for character in text]


def marking_the_beginning(text: str) -> list[int]:
    """Tokenize as SentencePiece does where it puts a blank before each text."""
    return by_word(f"_{text}")


@pytest.fixture
def connect():
    with connecting() as connect:
        yield connect


def named(request) -> list[int]:
    return request.body.get("logprob_token_ids", [])


@pytest.mark.parametrize("allow_none", [False, True])
def test_every_letter_has_the_score_that_the_model_behind_the_server_gives_it(connect, allow_none):
    queries = [choose(shade, allow_none=allow_none) for shade in range(5)]
    with serving(tokenizer=by_word) as server:
        exact = connect(server).answer(queries)
        rough = connect(server, token_ids="no").answer(queries)
    for one, other, expected in zip(exact, rough, SCRIPTED.answer(queries), strict=True):
        assert (one.choice, one.outcome) == (expected.choice, expected.outcome)
        assert one.log_probs == pytest.approx(expected.log_probs)
        assert one.none_log_prob == pytest.approx(expected.none_log_prob)
        assert other.log_probs != pytest.approx(expected.log_probs)
    assert len(named(server.chats[0])) == LETTERS + allow_none and not named(server.chats[-1])


def test_scores_by_the_tokens_of_a_real_model_are_those_of_the_local_backend(connect):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT)
    glyphs = Builder(PluginHost.load().registry).dataset(Spec("glyphs", {"labels": "26", "images": "1"}))
    (example,) = glyphs
    query = Choose((Image(example.images[0]),), tuple(glyphs.labels), readout=Letter(), allow_none=True)
    local = tiny()
    with FakeServer(
        answered_by(local), tokenizer=lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]
    ) as server:
        (served,) = connect(server).answer([query])
        assert named(server.chats[0]) == tokenizer.convert_tokens_to_ids([*string.ascii_uppercase, "None"])
    (expected,) = local.answer([query])
    local.close()
    assert served.log_probs == pytest.approx(expected.log_probs)
    assert served.none_log_prob == pytest.approx(expected.none_log_prob)


def test_none_of_several_tokens_is_read_off_the_likeliest(connect):
    with serving(tokenizer=by_character) as server:
        offered, without = connect(server).answer([choose(1, allow_none=True), choose(2)])
    # Both are asked at once, and come in any order.
    likeliest, exact = sorted(server.chats, key=lambda chat: "top_logprobs" not in chat.body)
    assert likeliest.body["top_logprobs"] == 20 and not named(likeliest)
    assert len(named(exact)) == LETTERS
    assert without.log_probs == pytest.approx(SCRIPTED.answer([choose(2)])[0].log_probs)
    assert offered.none_log_prob is not None


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="ignored"),
        pytest.param({"faults": [None, Fault("status", 400, message="unknown field")]}, id="refused"),
        pytest.param({"tokenizer": marking_the_beginning}, id="no letters by themselves"),
        pytest.param({"tokenizer": lambda text: []}, id="no tokens"),
    ],
)
def test_server_without_named_tokens_gives_the_likeliest(connect, settings):
    with serving(**settings) as server:
        backend = connect(server)
        assert (backend.identity["token_ids"], backend.identity["logprobs"]) == (False, True)
        (ballot,) = backend.answer([choose()])
        expected = connect(server, token_ids="no").answer([choose()])[0]
    assert ballot.log_probs == expected.log_probs and server.chats[0].body["top_logprobs"] == 20


def test_named_tokens_are_found_out_once_and_by_few_requests(connect):
    with serving(tokenizer=by_word, choices="structured_outputs") as server:
        backend = connect(server)
        assert backend.identity["token_ids"] and backend.identity["logprobs"]
        asked = len(server.requests)
        assert asked <= 4 and [request.path for request in server.requests].count("/tokenize") == 1
        backend.answer([choose(1), choose(2)])
        assert backend.identity["token_ids"] and len(server.requests) == asked + 2


@pytest.mark.parametrize("options", [{"token_ids": "no"}, {"logprobs": "no"}])
def test_named_tokens_are_not_asked_for_where_they_are_unwanted(connect, options):
    with serving(tokenizer=by_word) as server:
        assert not connect(server, **options).identity["token_ids"]
    assert not any(named(request) or request.path == "/tokenize" for request in server.requests)


def test_named_tokens_that_are_insisted_on_and_missing_end_with_one_line(connect):
    with serving() as server, pytest.raises(ServerError, match=r"/tokenize gives no ids .*; use token_ids=no"):
        _ = connect(server, token_ids="yes").identity


def test_server_that_forgets_named_tokens_gives_no_other_scores_instead(connect):
    with serving(tokenizer=by_word) as server:
        backend = connect(server, max_retries=0)
        assert backend.identity["token_ids"]
        server.tokenizer = None
        with pytest.raises(ServerError, match="lacks the log-probabilities of tokens that were named"):
            backend.answer([choose()])


def test_run_has_the_scores_of_a_local_run(vlmkit_here, tmp_path):
    command = ("run", "glyphs:labels=26,images=20", "--strategy", "flat:readout=letter", "--log-samples", "--output")
    with serving(tokenizer=by_word) as server:
        ended = vlmkit_here(*command, "served", "--model", f"openai:model=fake,base_url={server.base_url}")
    assert ended.returncode == 0, ended.stderr
    assert vlmkit_here(*command, "local", "--model", "scripted:accuracy=0.8,none_rate=0.05").returncode == 0
    served, local = (
        [json.loads(line) for line in (tmp_path / name / "samples.jsonl").read_text().splitlines()]
        for name in ("served", "local")
    )
    assert len(served) == 20
    for one, other in zip(served, local, strict=True):
        assert one["id"] == other["id"] and one["log_probs"] == pytest.approx(other["log_probs"])
    assert json.loads((tmp_path / "served" / "manifest.json").read_text())["model"]["token_ids"] is True
