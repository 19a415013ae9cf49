"""Several processes for one run: the same results as one, whichever of them die on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmkit import Example, LabelSpace, Pipeline
from vlmkit.errors import BackendError, SpecError, UserError
from vlmkit.registry import Builder, PluginHost, Spec
from vlmkit_engines.backlog import Backlog
from vlmkit_engines.crew import LIVES
from vlmkit_engines.devices import DevicesEngine

MORTAL = '''
"""A model that takes its process with it, or finds everything wrong, at one picture, told by its number."""

import os
import signal
from pathlib import Path

from attrs import evolve, field, frozen

from vlmkit import hookimpl
from vlmkit.errors import ModelError
from vlmkit_adapters.scripted import ScriptedBackend


@frozen
class Mortal:
    dies_of: str = ""
    once: Path | None = None
    refuses: str = ""
    device: str = "cpu"
    inner: ScriptedBackend = field(factory=ScriptedBackend, init=False)

    @property
    def capabilities(self):
        return self.inner.capabilities

    @property
    def identity(self):
        return self.inner.identity

    def answer(self, queries):
        seen = {image.source[:4] for query in queries for image in query.images}
        if self.refuses in seen:
            raise ModelError("there are no weights", hint="fetch them")
        if self.dies_of in seen and not (self.once and self.once.exists()):
            if self.once:
                self.once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.inner.answer(queries)

    def close(self):
        pass


@hookimpl
def vlmkit_register(registry):
    registry.adapter("mortal", "mortal:Mortal", summary="Dies", capabilities=("likelihood", "letter", "generate"))
'''
TWO = ("--devices", "cpu,cpu")
GLYPHS = ("run", "glyphs:labels=12,images=36", "--strategy", "dci:group_size=5")


@given(st.integers(0, 60), st.integers(1, 4), st.integers(1, 12))
def test_batches_hold_every_example_once_and_shrink_towards_the_end(number, takers, most):
    backlog = Backlog(iter(map(example, range(number))), takers, most)
    batches = []
    while backlog.waiting:
        batches.append(backlog.take())
    assert [one.id for batch in batches for one in batch] == [str(index) for index in range(number)]
    sizes = list(map(len, batches))
    assert all(1 <= size <= most for size in sizes) and sizes == sorted(sizes, reverse=True)
    assert sizes[-1:] in ([], [1]) and backlog.take() == []
    backlog.put_back(map(example, range(3)))
    assert [len(backlog.take()) for _ in range(4)] == [1, 1, 1, 0]


def example(index: int) -> Example:
    return Example(str(index), (Path(f"{index}.png"),))


def test_devices_are_numbers_or_names_of_one_kind():
    assert DevicesEngine("0, 1,cuda:3").devices == ("cuda:0", "cuda:1", "cuda:3")
    assert DevicesEngine(["cpu", "cpu"]).devices == ("cpu", "cpu")
    for wrong, said in (("cpu,0", r"several kinds \(cpu, cuda\)"), (",", "no device is named")):
        with pytest.raises(SpecError, match=said):
            DevicesEngine(wrong)


@pytest.fixture
def mortal(install_plugin, monkeypatch):
    monkeypatch.syspath_prepend(install_plugin("mortal", MORTAL))
    return PluginHost.load()


def solved(plugins, options: str = "", *, engine=None, number: int = 40):
    dataset = Builder(plugins.registry).dataset(Spec("glyphs", {"labels": "12", "images": str(number)}))
    labels = LabelSpace(dataset.labels)
    engine = engine or DevicesEngine("cpu,cpu", batch=8, threads=1)
    with Pipeline(f"mortal:{options}" if options else "mortal", "dci:group_size=5", plugins=plugins) as pipeline:
        local = {one.example.id: one for one in Pipeline("mortal", "dci:group_size=5").solve(dataset, labels)}
        found = list(engine.solve(pipeline, dataset, labels))
    assert sorted(one.example.id for one in found) == sorted(local)
    assert all(one.example == local[one.example.id].example for one in found)
    return found, local


def test_an_example_that_kills_its_process_every_time_fails_alone(mortal, caplog):
    found, local = solved(mortal, "dies_of=0007")
    (failed,) = [one for one in found if one.error is not None]
    assert failed.example.id.startswith("0007-") and isinstance(failed.error, BackendError)
    assert f"{LIVES} processes died over it, the last one of SIGKILL" in str(failed.error)
    for one in found:
        assert one.prediction == (None if one is failed else local[one.example.id].prediction)
    assert caplog.text.count("died of SIGKILL; it is replaced") == LIVES
    assert active_children() == []


def test_a_process_that_dies_once_costs_no_example(mortal, tmp_path):
    found, local = solved(mortal, f"dies_of=0007,once={tmp_path / 'once'}")
    assert all(one.prediction == local[one.example.id].prediction for one in found)


def test_what_is_wrong_with_everything_ends_the_run_and_all_processes(mortal):
    with pytest.raises(UserError, match="there are no weights; fetch them"):
        solved(mortal, "refuses=0030")
    assert active_children() == []


def test_a_stop_leaves_what_no_process_has_to_the_next_go(mortal):
    seen = []
    with Pipeline("mortal", "dci:group_size=5", plugins=mortal) as pipeline:
        dataset = Builder(mortal.registry).dataset(Spec("glyphs", {"labels": "12", "images": "40"}))
        engine = DevicesEngine("cpu,cpu", batch=2, threads=1)
        for one in engine.solve(pipeline, dataset, dataset.labels, stop=lambda: bool(seen)):
            seen.append(one.example.id)
    assert 1 <= len(seen) == len(set(seen)) <= 4
    assert active_children() == []


def test_processes_that_die_too_often_end_the_run(mortal):
    engine = DevicesEngine("cpu", batch=1, threads=1, replacements=1)
    with pytest.raises(UserError, match="all processes died too often; is memory short"):
        solved(mortal, "dies_of=0000", engine=engine, number=3)


def test_options_that_contradict_are_refused(vlmkit_here):
    for arguments, said in (
        ((*TWO, "--device", "cpu"), "leave --device out"),
        (("--devices", "cpu,0"), "several kinds"),
        ((*TWO, "--model", "scripted"), "adapter scripted has no option device"),
        (("--devices", "cpu", "--workers", "2"), "engine devices has no option workers"),
    ):
        ended = vlmkit_here("run", *arguments)
        assert ended.returncode == 2 and said in ended.stderr


def records(directory: Path) -> dict[str, dict]:
    return {one["id"]: one for one in map(json.loads, (directory / "predictions.jsonl").read_text().splitlines())}


def workers_of(process: subprocess.Popen) -> list[int]:
    """The processes that it started to work, without the one that multiprocessing keeps for itself."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def until(true, what: str):
    end = time.monotonic() + 300
    while not (found := true()):
        assert time.monotonic() < end, what
        time.sleep(0.05)
    return found


@pytest.fixture
def start(tmp_path, environment):
    """Start ``vlmkit`` in a process group of its own, as a terminal does."""
    running = []

    def begin(*arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "vlmkit", *arguments]
        running.append(
            subprocess.Popen(
                command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
            )
        )
        return running[-1]

    yield begin
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.mark.slow
def test_results_are_those_of_one_process_though_one_is_killed_on_the_way(start, vlmkit_here, tmp_path):
    process = start(*GLYPHS, *TWO, "--output", "two")
    until(lambda: (tmp_path / "two" / "predictions.jsonl").exists() and records(tmp_path / "two"), "no prediction")
    os.kill(until(lambda: workers_of(process), "no worker")[0], signal.SIGKILL)
    said = process.communicate()[1]
    assert process.returncode == 0, said
    assert "died of SIGKILL; it is replaced" in said
    assert vlmkit_here(*GLYPHS, "--output", "one").returncode == 0
    two, one = records(tmp_path / "two"), records(tmp_path / "one")
    assert len(two) == len((tmp_path / "two" / "predictions.jsonl").read_text().splitlines()) == 36
    assert {key: value["label"] for key, value in two.items()} == {key: value["label"] for key, value in one.items()}
    fingerprints = [
        json.loads((tmp_path / name / "manifest.json").read_text())["fingerprint"] for name in ("one", "two")
    ]
    assert fingerprints[0] == fingerprints[1]


@pytest.mark.slow
def test_processes_ask_as_the_run_was_calibrated(mortal, vlmkit_here, tmp_path):
    auto = 'auto:calibration="glyphs:labels=1000,images=200,seed=1",examples=4,group-sizes="5,10",unit=queries'
    command = ("run", "glyphs:labels=60,images=12", "--model", "mortal", "--output", "out", "--strategy", auto, *TWO)
    assert vlmkit_here(*command, "--limit", 2).returncode == 0
    path = tmp_path / "out" / "calibration.json"
    report = json.loads(path.read_text())
    assert report["chosen"] != "dci:group_size=10"
    path.write_text(json.dumps({**report, "chosen": "dci:group_size=10"}))
    done = vlmkit_here(*command)
    assert done.returncode == 0, done.stderr
    assert [one["trace"][0]["queries"] for one in records(tmp_path / "out").values()][2:] == [6] * 10


@pytest.mark.slow
def test_ctrl_c_ends_all_processes_and_the_same_command_goes_on(start, tmp_path):
    command = (*GLYPHS[:1], "glyphs:labels=50,images=400", *GLYPHS[2:], *TWO, "--output", "out")
    process = start(*command)
    until(lambda: (tmp_path / "out" / "predictions.jsonl").exists() and records(tmp_path / "out"), "no prediction")
    workers = workers_of(process)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate()[1]
    assert process.returncode == 130 and "interrupted after" in said and "Traceback" not in said
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "a worker outlived the run")
    kept = len(records(tmp_path / "out"))
    again = start(*command, "--limit", str(kept + 20))
    assert again.communicate()[1] is not None and again.returncode == 0
    assert len(records(tmp_path / "out")) == kept + 20
