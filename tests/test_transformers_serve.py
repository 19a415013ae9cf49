"""A real server: ``transformers serve`` with the embedded model answers as the local backend does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from vlmkit_adapters.tiny import CHECKPOINT

pytestmark = pytest.mark.thorough

START = 300.0
"""Longest wait for the server to come up, in seconds; a quiet machine takes about six."""

RUN = ("run", "glyphs:labels=20,images=50", "--strategy", "dci:group_size=10,readout=text", "--log-samples")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server for the embedded model; it ends with the tests of this file."""
    home = tmp_path_factory.mktemp("serve")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(CHECKPOINT)]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
            env={**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", process, home / "log")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"transformers serve did not come up:\n{log.read_text()}")


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def labels(run: Path) -> list[tuple[str, str | None]]:
    return [(line["id"], line["label"]) for line in lines(run / "predictions.jsonl")]


def replies(run: Path) -> list[tuple[str, str]]:
    """The raw replies, but for outer blanks, which the server takes away."""
    return [(line["id"], line["reply"].strip()) for line in lines(run / "samples.jsonl")]


def spec(server: str, model: str = str(CHECKPOINT)) -> str:
    return f"openai:model={model},base_url={server}"


def test_predictions_and_replies_are_those_of_the_local_model(server, vlmkit_here, tmp_path):
    for output, model in (("local", "tiny"), ("served", spec(server))):
        ended = vlmkit_here(*RUN, "--model", model, "--output", output)
        assert ended.returncode == 0, ended.stderr
    local, served = tmp_path / "local", tmp_path / "served"
    assert labels(served) == labels(local) and len(labels(local)) == 50
    assert replies(served) == replies(local) and len(replies(local)) >= 100


def test_doctor_tells_what_the_server_offers(server, vlmkit_here):
    ended = vlmkit_here("doctor", "--model", spec(server), "--json")
    assert ended.returncode == 0, ended.stderr
    states = {check["name"]: check["state"] for check in json.loads(ended.stdout)}
    assert (states["model"], states["readout text"], states["readout letter"]) == ("ok", "ok", "missing")


def test_what_the_server_lacks_is_one_line(server, vlmkit_here):
    ended = vlmkit_here(*RUN[:2], "--model", spec(server), "--strategy", "flat:readout=letter")
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert f"{server} does not offer the readout letter; use readout=text" in ended.stderr


def test_name_of_another_model_is_refused_in_the_words_of_the_server(server, vlmkit_here):
    ended = vlmkit_here(*RUN, "--model", spec(server, "other"))
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert "does not answer a plain question" in ended.stderr and "requested 'other'" in ended.stderr
