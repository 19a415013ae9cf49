"""``vlmkit plugins new``: what it writes works at once, and what it refuses."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from vlmkit.errors import UserError
from vlmkit.scaffold import KINDS, Distribution

ROOT = Path(__file__).parents[1]
LONGEST = "a-name-of-thirty-letters-in-al"


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """A distribution of each kind."""
    parent = tmp_path_factory.mktemp("written")
    return {kind: Distribution(f"made-{kind}", kind).write(parent) for kind in KINDS}


def put_on_path(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Do what an editable installation does, without pip."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = project["entry-points"]["vlmkit"].items()
    (info / "entry_points.txt").write_text("[vlmkit]\n" + "".join(f"{name} = {value}\n" for name, value in points))
    patch.syspath_prepend(folder)


def test_a_new_aggregator_passes_its_tests_and_is_listed(vlmkit_here, tmp_path, monkeypatch):
    done = vlmkit_here("plugins", "new", "three-best", "--kind", "aggregator", "--directory", "mine")
    assert (done.returncode, done.stdout) == (0, "mine/vlmkit-three-best\n")
    assert "pip install --editable 'mine/vlmkit-three-best[dev]'" in done.stderr
    folder = tmp_path / "mine" / "vlmkit-three-best"
    put_on_path(folder, monkeypatch)
    spec = importlib.util.spec_from_file_location("written", folder / "tests" / "test_vlmkit_three_best.py")
    tests = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tests)
    passed = [test() for name, test in inspect.getmembers(tests, inspect.isfunction) if name.startswith("test_")]
    assert len(passed) == 3
    listed = {row["name"]: row for row in json.loads(vlmkit_here("ls", "aggregators", "--json").stdout)}
    assert listed["three-best"]["owner"] == "three-best (vlmkit-three-best 0.1.0)"
    assert listed["three-best"]["options"] == {"approved": "2"}


def test_every_kind_passes_its_linter(folders, tmp_path):
    for kind in KINDS:
        Distribution(LONGEST, kind).write(tmp_path / kind)
        Distribution("a", kind).write(tmp_path / kind)
    ruff = ["ruff", "check", "--no-cache", tmp_path, *folders.values()]
    done = subprocess.run([sys.executable, "-m", *map(str, ruff)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_kind_says_how_to_use_it(folders):
    for kind, folder in folders.items():
        readme = (folder / "README.md").read_text()
        assert f"$ vlmkit ls {kind}\n" in readme
        assert re.search(rf"^\$ vlmkit .*made-{kind}", readme, re.MULTILINE)
        assert "No licence is chosen" in readme


@pytest.mark.parametrize("name", ["Mine", "my_own", "2d", "../mine", "mine-", "", f"{LONGEST}l"])
def test_a_name_that_no_module_can_have_is_refused(name):
    with pytest.raises(UserError, match=r"is no name for a plugin; give at most 30 small letters"):
        Distribution(name, "strategy")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vlmkit-mine", "begins with vlmkit; leave that out"),
        ("dci", "the name dci is taken by the strategy of strategies (vlmkit "),
        ("hierarchy", "the name hierarchy is taken by the plugin hierarchy (vlmkit "),
        ("doctor", "the name doctor is taken by the command vlmkit doctor; choose another"),
    ],
)
def test_a_name_that_is_taken_is_one_line(vlmkit_here, tmp_path, name, message):
    done = vlmkit_here("plugins", "new", name, "--kind", "strategy")
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_module_that_is_there_is_not_shadowed(tmp_path, monkeypatch):
    (tmp_path / "vlmkit_shadowed.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="a module vlmkit_shadowed is already installed"):
        Distribution("shadowed", "strategy").check_free({})


def test_nothing_is_overwritten(vlmkit_here, tmp_path):
    mine = tmp_path / "vlmkit-mine"
    mine.mkdir()
    (mine / "README.md").write_text("mine")
    done = vlmkit_here("plugins", "new", "mine", "--kind", "dataset")
    assert done.returncode == 2
    assert "error: vlmkit-mine is already there; choose another name or --directory" in done.stderr
    assert [path.name for path in mine.iterdir()] == ["README.md"]


@pytest.fixture(scope="module")
def site(folders, tmp_path_factory) -> Path:
    """A folder into which pip has installed all of them."""
    target = tmp_path_factory.mktemp("site")
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", target]
    pip = [sys.executable, "-m", "pip", *map(str, [*install, *folders.values()])]
    subprocess.run(pip, check=True, capture_output=True)
    return target


def run(folder: Path, site: Path, *arguments: str) -> str:
    # vlmkit may be installed editable, which mypy does not follow.
    ours = os.pathsep.join(str(ROOT / place) for place in ("", "adapters", "strategies", "plugins"))
    environment = {**os.environ, "PYTHONPATH": str(site), "MYPYPATH": ours, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_installs_passes_its_tests_and_is_listed(folders, site, kind):
    out = run(folders[kind], site, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist")
    assert re.search(r"^\d passed", out, re.MULTILINE), out
    listed = {row["name"]: row for row in json.loads(run(site, site, "vlmkit", "ls", kind, "--json"))}
    assert listed[f"made-{kind}"]["owner"] == f"made-{kind} (vlmkit-made-{kind} 0.1.0)"
    assert "error" not in listed[f"made-{kind}"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_passes_mypy(folders, site, kind, tmp_path_factory):
    cache = tmp_path_factory.getbasetemp() / "mypy"  # one for all: what vlmkit imports is read once
    options = ("--follow-imports", "silent", "--cache-dir", str(cache))
    assert "Success" in run(folders[kind], site, "mypy", *options)
