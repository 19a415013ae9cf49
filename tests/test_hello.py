"""The tutorial's plugin: installed as a user installs it, and the same as what the tutorial shows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HELLO = ROOT / "plugins" / "vlmkit-hello"
TUTORIAL = (ROOT / "docs" / "writing-a-strategy.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TUTORIAL, re.DOTALL | re.MULTILINE)


def without_blank_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def test_tutorial_shows_the_files_line_by_line():
    shown = without_blank_lines("".join(blocks("python")))
    assert shown == without_blank_lines((HELLO / "vlmkit_hello.py").read_text(encoding="utf-8"))
    assert blocks("toml") == [(HELLO / "pyproject.toml").read_text(encoding="utf-8")]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder into which the plugin has been installed from its source."""
    source = shutil.copytree(HELLO, tmp_path_factory.mktemp("source") / "hello")
    target = tmp_path_factory.mktemp("site")
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", target, source]
    subprocess.run([sys.executable, "-m", "pip", *map(str, install)], check=True, capture_output=True)
    return target


def run(site: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=site, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tutorial_test_passes(site, monkeypatch):
    monkeypatch.syspath_prepend(site)
    (code,) = blocks('python title="A test"')
    exec(code, {})


def test_plugin_is_listed_with_its_distribution(site):
    plugins = json.loads(run(site, "-m", "vlmkit", "plugins", "--json"))
    (hello,) = [plugin for plugin in plugins if plugin["name"] == "hello"]
    assert (hello["distribution"], hello["error"]) == ("vlmkit-hello", None)


RUN = ("run", "glyphs:labels=30,images=3", "--json", "--strategy")
ALL_DONE = {"total": 3, "done": 3, "failed": 0}


def test_its_strategy_runs(site, tmp_path):
    out = run(site, "-m", "vlmkit", *RUN, "knockout", "--model", "scripted", "--output", str(tmp_path / "run"))
    assert json.loads(out)["n"] == ALL_DONE


@pytest.mark.docs
def test_its_aggregator_runs(site, vlmkit_here, monkeypatch):
    monkeypatch.syspath_prepend(site)
    done = vlmkit_here(*RUN, "dci:group_size=10,aggregator=underdog")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n"] == ALL_DONE
