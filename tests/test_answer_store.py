"""The file of the answer cache, and the cache as a user sees it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from attrs import evolve

from vlmkit import Choose, Generate, Image, Label, Pipeline, Usage
from vlmkit.cache import AnswerStore, cached
from vlmkit.errors import CacheError, UnknownNameError
from vlmkit_adapters.scripted import ScriptedBackend
from vlmkit_strategies.dci import DCI

PICTURE = Image(PIL.Image.new("RGB", (2, 2)))
CHOOSE = Choose([PICTURE], [Label("a"), Label("b")])
GENERATE = Generate([PICTURE], "What is this?")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A new file at each call."""
    made = tmp_path_factory.mktemp("answers")
    numbers = iter(range(10**6))
    return lambda: made / f"{next(numbers)}.sqlite"


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


def test_a_full_disk_is_said_and_what_fits_is_written_afterwards(folder):
    with AnswerStore.open(folder()) as store:
        store._connection.execute("PRAGMA max_page_count = 8")
        with pytest.raises(CacheError, match="disk is full"):
            store.write("m", {bytes([number]): bytes(4000) for number in range(40)})
        store.write("m", {b"key": b"answer"})
        assert store.read({b"key", bytes([0])}) == {b"key": b"answer"}


def test_closing_waits_for_the_thread_that_writes(folder):
    store = AnswerStore.open(folder())
    closing = threading.Thread(target=store.close)
    with store._lock:
        closing.start()
        closing.join(0.05)
        store._connection.execute("SELECT 1")
    closing.join()
    with pytest.raises(CacheError, match="closed") as closed:
        store.read({b"key"})
    assert "damaged" not in str(closed.value)


def test_a_damaged_answer_is_an_error_and_no_answer(folder):
    with AnswerStore.open(folder()) as store:
        around = cached(ScriptedBackend(), store)
        around.answer([CHOOSE])
        store._connection.execute("UPDATE answers SET answer = substr(answer, 1, 20)")
        with pytest.raises(CacheError, match="damaged"):
            around.answer([CHOOSE])


def test_neither_pictures_nor_their_names_are_in_the_file(folder):
    path = folder()
    noise = Image(PIL.Image.frombytes("RGB", (8, 8), np.random.default_rng(0).bytes(192)), "/home/me/secret.png")
    with AnswerStore.open(path) as store:
        cached(ScriptedBackend(), store).answer([evolve(query, images=[noise]) for query in (CHOOSE, GENERATE)])
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
