"""Runs against a server through the command line: whatever goes wrong on the way, each example comes out once."""

from __future__ import annotations

import json
import random
from itertools import chain, repeat

import PIL.Image
import pytest

from served import FORCED, KEY, SCRIPTED, serving
from vlmkit.testing.server import FakeServer, Fault, answered_by
from vlmkit_adapters.openai import patience

HUNDREDS = ("run", "glyphs:labels=12,images=500", "--strategy", "flat:readout=letter", "--output")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.05)


@pytest.fixture
def pictures(tmp_path):
    """A folder of 40 different pictures in two sub-folders, and 30 labels."""
    for index in range(40):
        folder = tmp_path / "pictures" / f"label {index % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", (4, 4), (index, 0, 7)).save(folder / f"{index}.png")
    (tmp_path / "labels.txt").write_text("\n".join(f"label {index}" for index in range(30)))
    return tmp_path / "pictures"


def spec(server: FakeServer, **options) -> str:
    options = {"model": "fake", "base_url": server.base_url, **options}
    return "openai:" + ",".join(f"{key}={value}" for key, value in options.items())


def records(directory) -> list[dict]:
    return [json.loads(line) for line in (directory / "predictions.jsonl").read_text().splitlines()]


def results(directory) -> dict:
    return json.loads((directory / "results.json").read_text())


def shown(table: str, name: str) -> str:
    (row,) = [line.split() for line in table.splitlines() if line.strip().startswith(name)]
    return row[1]


def mixed_faults(seed: int):
    """One request in five fails, in one of six ways; few are slow, because they take time."""
    slow = Fault("slow", seconds=1.5)
    quick = [
        Fault("status", 429, retry_after="0.05"),
        Fault("status", 500),
        Fault("cut"),
        Fault("malformed"),
        Fault("logprobs"),
    ]
    ways = [slow] + quick * 6
    rng = random.Random(seed)
    while True:
        yield rng.choice(ways) if rng.random() < 0.2 else None


@pytest.mark.thorough
def test_hundreds_of_examples_through_a_failing_server_come_out_right(vlmkit_here, tmp_path):
    with serving(faults=mixed_faults(seed=1)) as server:
        ended = vlmkit_here(*HUNDREDS, "served", "--in-flight", "250", "--model", spec(server, timeout=1.0, **FORCED))
    assert ended.returncode == 0, ended.stderr
    assert vlmkit_here(*HUNDREDS, "local", "--model", "scripted:accuracy=0.8,none_rate=0.05").returncode == 0
    served, local = records(tmp_path / "served"), records(tmp_path / "local")
    assert [(one["id"], one["label"]) for one in served] == [(one["id"], one["label"]) for one in local]
    assert len({one["id"] for one in served}) == 500
    retries = results(tmp_path / "served")["usage"]["retries"]
    assert retries == sum(one["usage"]["retries"] for one in served) == len(server.chats) - 500 > 75
    assert shown(ended.stdout, "retries") == f"{retries:,}"


@pytest.mark.thorough
def test_slow_request_does_not_hold_up_the_other_examples(vlmkit_here, tmp_path):
    command = ("run", "glyphs:labels=12,images=40", "--strategy", "dci:group_size=5,readout=letter", "--in-flight", "8")
    with serving(faults=[Fault("slow", seconds=5.0)]) as server:
        model = spec(server, **FORCED, concurrency=8)
        assert vlmkit_here(*command, "--output", "served", "--model", model).returncode == 0
    local = vlmkit_here(*command, "--output", "local", "--model", "scripted:accuracy=0.8,none_rate=0.05")
    assert local.returncode == 0
    served, local = records(tmp_path / "served"), records(tmp_path / "local")
    assert [(one["id"], one["label"]) for one in served] == [(one["id"], one["label"]) for one in local]
    first, *others = server.chats
    meanwhile = [request for request in others if request.at < first.at + 5.0]
    # Asked in one call with the others, it would hold up all eight in flight.
    assert len({request.picture_urls for request in meanwhile}) >= 20


@pytest.mark.thorough
@pytest.mark.parametrize("end", [[Fault("death")], repeat(Fault("status", 500))], ids=["death", "500"])
def test_server_that_ends_stops_the_run_at_once_and_the_same_command_goes_on(vlmkit_here, tmp_path, end):
    options = {**FORCED, "max_retries": 3}
    with serving(faults=chain(repeat(None, 100), end)) as server:
        ended = vlmkit_here(*HUNDREDS, "out", "--model", spec(server, **options))
    assert ended.returncode == 2 and ended.stderr.startswith("error: ") and ended.stderr.count("\n") == 1
    assert "4 times running" in ended.stderr and "the same command goes on" in ended.stderr
    kept, so_far = records(tmp_path / "out"), results(tmp_path / "out")
    assert so_far["status"] == "failed" and so_far["n"] == {"total": 500, "done": len(kept), "failed": 0}
    assert 64 <= len(kept) <= 100 and len(server.chats) < 100 + 5 * 32

    with serving(port=server.port) as again:
        ended = vlmkit_here(*HUNDREDS, "out", "--model", spec(again, **options))
    assert ended.returncode == 0, ended.stderr
    finished = records(tmp_path / "out")
    assert finished[: len(kept)] == kept and len(again.chats) == 500 - len(kept)
    assert len({record["id"] for record in finished}) == len(finished) == 500
    assert results(tmp_path / "out")["status"] == "success"


def run(vlmkit_here, server, pictures, *more, **variables):
    return vlmkit_here(
        "run", pictures, "--labels", pictures.parent / "labels.txt", "--model", spec(server, max_retries=1),
        "--strategy", "dci:group_size=6,readout=letter", "--output", "out", *more, **variables,
    )  # fmt: skip


def test_failed_queries_fail_their_examples_and_show_in_the_table(vlmkit_here, pictures, tmp_path):
    def poisoned(asked):
        if asked.images and asked.images[0].pixels.getpixel((0, 0)) == (3, 0, 7):
            raise ConnectionError
        return answered_by(SCRIPTED)(asked)

    with serving(answer=poisoned, faults=chain(repeat(None, 10), [Fault("status", 500)])) as server:
        ended = run(vlmkit_here, server, pictures, "--in-flight", "8")
    assert ended.returncode == 1
    failed = [record for record in records(tmp_path / "out") if record["error"] is not None]
    assert [record["id"] for record in failed] == ["label 1/3.png"]


def test_server_that_fails_on_every_picture_ends_the_run_after_some(vlmkit_here, tmp_path):
    def blind(asked):
        if asked.images:
            raise ConnectionError
        return answered_by(SCRIPTED)(asked)

    with serving(answer=blind) as server:
        model = spec(server, max_retries=1, **FORCED)
        ended = vlmkit_here(*HUNDREDS, "out", "--in-flight", "8", "--model", model)
        assert len(server.chats) < 2 * (6 + 4 * 8)
        # One in a hundred of 500 may fail.
        assert ended.returncode == 2 and ended.stderr.splitlines()[-1].startswith("error: 6 examples failed in a row")
        assert "2 times running" in ended.stderr and "--fail-on-error allows more" in ended.stderr
        assert results(tmp_path / "out")["status"] == "failed"
        patient = vlmkit_here(*HUNDREDS, "out", "--limit", "40", "--fail-on-error", "100%", "--model", model)
    assert patient.returncode == 0 and results(tmp_path / "out")["n"]["failed"] == 40


def test_failures_between_answers_do_not_end_a_run(vlmkit_here, tmp_path):
    command = ("run", "colours:images=150", "--strategy", "whole", "--model", "colours:fail=blue", "--output", "out")
    assert vlmkit_here(*command).returncode == 1
    assert len(records(tmp_path / "out")) == 150 and results(tmp_path / "out")["n"]["failed"] == 25


def test_key_goes_to_the_server_and_nowhere_else(vlmkit_here, pictures, tmp_path):
    with serving(key=KEY, faults=chain(repeat(None, 30), [Fault("status", 400, message=f"bad {KEY}")])) as server:
        fine = run(vlmkit_here, server, pictures, "--log-samples", OPENAI_API_KEY=KEY)
    assert {request.key for request in server.chats} == {KEY}
    with serving(key="another", port=server.port) as strict:
        refused = run(vlmkit_here, strict, pictures, "--fresh", "--output", "other", OPENAI_API_KEY=KEY)
    assert refused.returncode == 2 and "answered 401" in refused.stderr and "***" in refused.stderr
    written = [path.read_text() for path in tmp_path.rglob("*.json*")]
    assert len(written) >= 4 and any("bad ***" in text for text in written)
    for text in (*written, fine.stdout, fine.stderr, refused.stdout, refused.stderr):
        assert KEY not in text


def test_wrong_model_and_wrong_address_say_so(vlmkit_here, pictures):
    with serving(model="other") as server:
        ended = run(vlmkit_here, server, pictures)
    assert ended.returncode == 2 and "answered 404" in ended.stderr and "check the model's name" in ended.stderr
