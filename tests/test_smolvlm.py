"""The tutorial's adapter: installed as a user installs it, tested by its own tests, and the same as the page shows."""

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
SMOLVLM = ROOT / "plugins" / "vlmkit-smolvlm"
PAGE = (ROOT / "docs" / "writing-an-adapter.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def without_blank_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def test_page_shows_the_files_line_by_line():
    sources = [SMOLVLM / "vlmkit_smolvlm" / name for name in ("__init__.py", "family.py")]
    lines = [line for source in sources for line in source.read_text(encoding="utf-8").splitlines()]
    assert without_blank_lines("".join(blocks("python"))) == [line for line in lines if line.strip()]
    assert len(lines) <= 80
    assert blocks("toml") == [(SMOLVLM / "pyproject.toml").read_text(encoding="utf-8")]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder into which the plugin has been installed from its source."""
    source = shutil.copytree(SMOLVLM, tmp_path_factory.mktemp("source") / "smolvlm")
    target = tmp_path_factory.mktemp("site")
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", target, source]
    subprocess.run([sys.executable, "-m", "pip", *map(str, install)], check=True, capture_output=True)
    return target


def run(site: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=site, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_adapter_is_listed_with_its_model_types(site):
    adapters = {entry["name"]: entry for entry in json.loads(run(site, "-m", "vlmkit", "ls", "adapters", "--json"))}
    assert adapters["smolvlm"]["model_types"] == ["idefics3", "smolvlm"]


def test_registering_imports_no_torch(site):
    code = "import sys; from vlmkit.registry import PluginHost; PluginHost.load(); print('torch' in sys.modules)"
    assert run(site, "-c", code).strip() == "False"


@pytest.mark.docs
def test_its_own_tests_pass(site):
    options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--import-mode=importlib"]
    out = run(site, "-m", "pytest", *options, str(SMOLVLM / "tests"), "-c", "/dev/null")
    assert re.search(r"^[24] passed", out, re.MULTILINE), out
