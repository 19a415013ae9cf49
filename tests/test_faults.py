"""What goes wrong around a run, made for real: signals, disks, permissions, memory, and errors that do not end."""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmkit.errors import BackendError, ImageError, ServerError, SystematicError, UserError
from vlmkit.runs.failures import AT_FIRST, IN_A_ROW, FailureWatch
from vlmkit.runs.interruption import Interruption

COLOURS = ("run", "colours:images=12", "--strategy", "halves", "--model", "colours")
SCRIPTED = ("--labels", "labels.txt", "--model", "scripted", "--strategy", "flat")

ON_THE_THIRD = """
import os, shutil, signal
from vlmkit import hookimpl

@hookimpl
def vlmkit_prediction(run, prediction):
    if prediction.id == "002":
        {does}
"""


def records(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "predictions.jsonl").read_text().splitlines()]


def results(directory: Path) -> dict:
    return json.loads((directory / "results.json").read_text())


def one_line(result) -> str:
    """Return the one line that a run that cannot go on gives."""
    assert result.returncode == 2 and "Traceback" not in result.stderr, result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: ")
    return result.stderr.splitlines()[-1]


def command_in(line: str) -> list[str]:
    """Return the command that a line says to go on with."""
    program, *words = shlex.split(line.partition(" with: ")[2])
    assert program == "vlmkit"
    return words


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of eight pictures, the third one broken, and labels."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(8):
        PIL.Image.new("RGB", (4, 4), (index, 0, 7)).save(folder / f"{index}.png")
    (folder / "2.png").write_text("no picture")
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    return folder


def test_sigterm_finishes_what_is_in_flight_and_says_the_command_that_goes_on(vlmkit_here, install_plugin, tmp_path):
    install_plugin("ender", ON_THE_THIRD.format(does="os.kill(os.getpid(), signal.SIGTERM)"))
    before = signal.getsignal(signal.SIGTERM)
    ended = vlmkit_here(*COLOURS, "--in-flight", "4", "--quiet")
    assert ended.returncode == 130 and signal.getsignal(signal.SIGTERM) is before
    first, last = ended.stderr.splitlines()
    assert first == "interrupted: the examples in flight are finished first; once more ends the run at once"
    (directory,) = (tmp_path / "runs").iterdir()
    kept = records(directory)
    assert 4 <= len(kept) <= 8 and results(directory)["status"] == "cancelled"
    assert last.startswith(f"interrupted after {len(kept)} of 12 examples; go on with: vlmkit run colours:images=12 ")
    assert vlmkit_here(*command_in(last)).returncode == 0
    assert records(directory)[: len(kept)] == kept and len(records(directory)) == 12


def test_second_ctrl_c_does_not_end_an_interactive_session(monkeypatch):
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    with pytest.raises(KeyboardInterrupt), Interruption():
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)  # a job in the background ignores the other
    assert not any(isinstance(thread, threading.Timer) for thread in threading.enumerate())


def test_second_ctrl_c_ends_at_once(toy, tmp_path, environment):
    command = ("run", "colours:images=12", "--strategy", "whole", "--in-flight", "1", "--model", "colours:delay=2")
    process = subprocess.Popen(
        [sys.executable, "-m", "vlmkit", *command, "--output", "mine"],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (tmp_path / "mine" / "predictions.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline().startswith(b"interrupted: the examples in flight")
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 130 and b"Traceback" not in told
    assert b"go on with: vlmkit run" in told
    # The second example was asked about when it ended.
    assert len(records(tmp_path / "mine")) == 1 and results(tmp_path / "mine")["status"] == "cancelled"


@pytest.mark.parametrize(
    "does", ["shutil.rmtree(run.directory)", "os.rename(run.directory, 'other'); os.mkdir(run.directory)"]
)
def test_run_directory_that_vanishes_is_one_line_and_is_not_made_again(vlmkit_here, install_plugin, tmp_path, does):
    install_plugin("remover", ON_THE_THIRD.format(does=does))
    told = one_line(vlmkit_here(*COLOURS, "--output", "mine"))
    assert "run directory mine was removed or replaced while the run was at work" in told
    assert not (tmp_path / "mine" / "predictions.jsonl").exists()
    assert vlmkit_here("--no-plugin", "remover", *COLOURS, "--output", "mine").returncode == 0


@contextmanager
def unprivileged(directory: Path) -> Iterator[None]:
    """Be an ordinary user, where this process is root's, which no permission stops."""
    if os.geteuid() != 0:
        yield
        return
    for parent in directory.parents[:-1]:
        if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_revoked_permission_is_one_line_and_spoils_nothing(vlmkit_here, tmp_path):
    assert vlmkit_here(*COLOURS, "--output", "mine").returncode == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()}
    (tmp_path / "mine").chmod(0o555)
    for path in (tmp_path / "mine").iterdir():
        path.chmod(0o444)
    with unprivileged(tmp_path / "mine"):
        told = one_line(vlmkit_here(*COLOURS, "--output", "mine"))
        new = one_line(vlmkit_here(*COLOURS, "--output", "mine/below"))
    assert "mine/.lock cannot be written (Permission denied); change its permissions or give another --output" in told
    assert "mine/below cannot be written (Permission denied)" in new
    assert {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()} == before


@pytest.mark.parametrize("name", ["manifest.json", "results.json"])
def test_full_disk_under_manifest_or_results_is_one_line_and_the_same_command_goes_on(vlmkit_here, tmp_path, name):
    (tmp_path / "mine").mkdir()
    # What is written beside the file first goes to a device that is full.
    (tmp_path / "mine" / f".{name}.tmp").symlink_to("/dev/full")
    told = one_line(vlmkit_here(*COLOURS, "--output", "mine"))
    assert f"mine/{name} cannot be written (No space left on device); free space or give another --output" in told
    assert not (tmp_path / "mine" / name).exists()
    if name == "results.json":
        assert len(records(tmp_path / "mine")) == 12
    assert vlmkit_here(*COLOURS, "--output", "mine").returncode == 0
    assert results(tmp_path / "mine")["status"] == "success" and len(records(tmp_path / "mine")) == 12


@pytest.mark.slow
def test_full_file_system_of_its_own(toy, tmp_path, environment):
    disk, vlmkit = tmp_path / "disk", f"{sys.executable} -m vlmkit"
    disk.mkdir()
    command = f"{vlmkit} run colours:images=400 --strategy halves --model colours --quiet --output disk/mine"
    script = f"mount -t tmpfs -o size=128k none disk; {command}; echo $?; mount -o remount,size=8m disk; {command}"
    can = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", disk], capture_output=True)
    if can.returncode:
        pytest.skip("mounting is not allowed here")
    ended = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"{script}; cp -r disk/mine kept"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert "predictions.jsonl cannot be written (No space left on device); free space" in ended.stderr
    assert ended.stdout.startswith("2\n")
    assert [record["id"] for record in records(tmp_path / "kept")] == [f"{index:03d}" for index in range(400)]


def test_picture_without_memory_for_it_fails_alone(pictures, tmp_path, environment):
    PIL.Image.new("1", (13_000, 13_000)).save(pictures / "9.png")
    most = 600 * 2**20
    ended = subprocess.run(
        [sys.executable, "-m", "vlmkit", "run", "pictures", *SCRIPTED, "--fail-on-error", "1", "--output", "mine"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (most, most)),
    )
    assert ended.returncode == 1, ended.stderr
    assert "failed: 9.png: there is no memory for its 13,000 x 13,000 pixels; scale it down" in ended.stderr
    assert [record["id"] for record in records(tmp_path / "mine") if record["error"]] == ["2.png", "9.png"]


def see(watch: FailureWatch, error: Exception | None, times: int) -> None:
    for _ in range(times):
        watch.see(error)


@given(st.floats(0, 100), st.integers(1, 200))
def test_first_failures_of_one_kind_end_a_run_that_does_not_allow_for_them(allowed, times):
    watch = FailureWatch(allowed, fresh=True)
    if times >= AT_FIRST and times > allowed:
        with pytest.raises(SystematicError, match="in a row, the last one with: image x: gone"):
            see(watch, ImageError("x", "gone"), times)
    else:
        see(watch, ImageError("x", "gone"), times)


def test_failures_end_no_run_that_has_answers_between_them_or_differ_at_the_start():
    see(watch := FailureWatch(0, fresh=False), ImageError("x", "gone"), 500)
    for _ in range(500):
        see(watch, BackendError("no answer"), IN_A_ROW - 1)
        watch.see(None)
    for error in (ImageError("x", "gone"), ValueError(), KeyError()) * 100:
        FailureWatch(0, fresh=True).see(error)


@pytest.mark.parametrize("error", [BackendError("no answer"), MemoryError()])
def test_model_that_fails_again_and_again_ends_a_run_anywhere(error):
    see(watch := FailureWatch(3, fresh=False), error, IN_A_ROW - 1)
    with pytest.raises(SystematicError, match=f"{IN_A_ROW} examples failed in a row"):
        watch.see(error)


def test_systematic_errors_are_those_of_the_request():
    assert issubclass(SystematicError, UserError) and issubclass(ServerError, UserError)
    assert not any(issubclass(kind, UserError) for kind in (ImageError, BackendError))


def test_folder_of_broken_pictures_ends_early_unless_it_is_allowed(vlmkit_here, pictures, tmp_path):
    for index in range(8):
        (pictures / f"{index}.png").write_text("no picture")
    command = ("run", "pictures", *SCRIPTED, "--output", "mine")
    told = one_line(vlmkit_here(*command))
    assert "error: 5 examples failed in a row, the last one with: image 4.png" in told
    assert "--fail-on-error allows more" in told and len(records(tmp_path / "mine")) == 5
    assert vlmkit_here(*command, "--fail-on-error", "1.0").returncode == 0
    assert results(tmp_path / "mine")["n"] == {"total": 8, "done": 0, "failed": 8}


def test_failed_examples_alone_are_tried_again(vlmkit_here, pictures, tmp_path):
    command = ("run", "pictures", *SCRIPTED, "--fail-on-error", "20%")
    assert vlmkit_here(*command).returncode == 0
    (directory,) = (tmp_path / "runs").iterdir()
    kept = [record for record in records(directory) if record["error"] is None]
    assert results(directory)["status"] == "success" and len(kept) == 7

    PIL.Image.new("RGB", (4, 4)).save(pictures / "2.png")
    PIL.Image.new("RGB", (4, 4), "red").save(pictures / "new.png")
    again = vlmkit_here(*command, "--retry-failed")
    assert again.returncode == 0 and "1 failed example is tried again" in again.stderr
    assert records(directory)[:7] == kept and [record["id"] for record in records(directory)[7:]] == ["2.png"]
    assert results(directory)["status"] == "unfinished"
    last = again.stderr.splitlines()[-1]
    assert last.startswith("1 of 9 examples are not asked about yet; go on with: ")

    nothing = vlmkit_here(*command, "--retry-failed", "--output", directory)
    assert "no example has failed, and no question is asked" in nothing.stderr and len(records(directory)) == 8
    assert vlmkit_here(*command_in(last)).returncode == 0
    assert results(directory)["status"] == "success" and len(records(directory)) == 9


def test_failed_examples_beyond_a_limit_keep_their_records(vlmkit_here, pictures, tmp_path):
    command = ("run", "pictures", *SCRIPTED, "--fail-on-error", "20%", "--output", "mine")
    assert vlmkit_here(*command).returncode == 0
    assert vlmkit_here(*command, "--limit", "2").returncode == 0
    assert results(tmp_path / "mine")["n"] == {"total": 8, "done": 7, "failed": 1}


def test_there_must_be_a_run_whose_failures_are_tried_again(vlmkit_here, pictures):
    command = ("run", "pictures", *SCRIPTED, "--retry-failed")
    assert "there is no run of this configuration in runs; name it with --output" in one_line(vlmkit_here(*command))
    assert "mine holds no run" in one_line(vlmkit_here(*command, "--output", "mine"))
    assert "--retry-failed and --fresh" in one_line(vlmkit_here(*command, "--fresh"))


def test_a_go_that_is_killed_leaves_no_results_that_no_longer_hold(vlmkit_here, install_plugin, tmp_path):
    assert vlmkit_here(*COLOURS, "--limit", "2", "--output", "mine").returncode == 0
    install_plugin("watcher", ON_THE_THIRD.format(does="assert not (run.directory / 'results.json').exists()"))
    more = vlmkit_here(*COLOURS, "--output", "mine")
    assert more.returncode == 0 and "warning" not in more.stderr
    assert results(tmp_path / "mine")["n"]["done"] == 12


def test_scores_come_anew_from_the_predictions(vlmkit_here, tmp_path):
    assert vlmkit_here(*COLOURS, "--output", "mine").returncode == 0
    before = results(tmp_path / "mine")
    assert vlmkit_here("score", "mine").stdout == "mine: 12 done, 0 failed, 12 in all\n  nothing changes\n"
    (tmp_path / "mine" / "results.json").unlink()
    assert "there were no results before" in vlmkit_here("score", "mine").stdout
    assert results(tmp_path / "mine") == {**before, "status": "unfinished"}

    lines = (tmp_path / "mine" / "predictions.jsonl").read_text()
    (tmp_path / "mine" / "predictions.jsonl").write_text(lines.replace('"correct": true', '"correct": false', 3))
    (scored,) = json.loads(vlmkit_here("score", "mine", "--json").stdout)
    assert scored["results"] == results(tmp_path / "mine") and scored["results"]["metrics"]["accuracy"]["value"] == 0.75
    assert "metrics.accuracy.value was 1.0, is 0.75" in scored["changed"]


def test_what_cannot_be_scored_anew_is_one_line(vlmkit_here, tmp_path):
    assert "mine holds no run" in one_line(vlmkit_here("score", "mine"))
    assert vlmkit_here(*COLOURS, "--output", "mine").returncode == 0
    judged = {**results(tmp_path / "mine"), "metrics": {"hca": None}}
    (tmp_path / "mine" / "results.json").write_text(json.dumps(judged))
    assert "hold figures of another command (hca)" in one_line(vlmkit_here("score", "mine"))
    assert results(tmp_path / "mine") == judged
    shutil.rmtree(tmp_path / "mine")
