"""What tests of the command line share: real plugins in real distributions, and real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from hypothesis import settings

from vlmkit.cli.main import main
from vlmkit.registry import PluginHost

# Two workers with two OpenMP threads each would fight over two cores; torch reads this when it loads, in children too.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test knows a key of the developer.
os.environ.pop("OPENAI_API_KEY", None)

# Machines are noisy: no example has a deadline.
settings.register_profile("vlmkit", deadline=None)
settings.load_profile("vlmkit")

TOY = Path(__file__).with_name("plugins") / "toy.py"
"""A plugin with a backend, a data set and strategies, small and real."""

Install = Callable[[str, str], Path]
Vlmkit = Callable[..., subprocess.CompletedProcess[str]]


def write_plugin(directory: Path, name: str, source: str) -> Path:
    """Write an installed distribution that holds one plugin module; put ``directory`` on the path to use it.

    The distribution is called ``NAME-dist``, version 1.0, and its entry point ``NAME`` of the group ``vlmkit`` is the
    module ``NAME``.
    """
    directory.mkdir(exist_ok=True)
    (directory / f"{name}.py").write_text(source, encoding="utf-8")
    info = directory / f"{name}_dist-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[vlmkit]\n{name} = {name}\n", encoding="utf-8")
    return directory


@pytest.fixture(scope="session", autouse=True)
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Put whatever is temporary, in child processes too, where pytest clears up: a killed worker leaves nothing."""
    folder = str(tmp_path_factory.getbasetemp())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


@pytest.fixture
def install_plugin(tmp_path: Path) -> Install:
    """Install a plugin for the processes of this test: ``install_plugin(name, source)``."""

    def install(name: str, source: str) -> Path:
        return write_plugin(tmp_path / "site", name, source)

    return install


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """The environment of processes that see this test's plugins, no network and no settings of the developer."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("VLMKIT_")}
    return {**inherited, "PYTHONPATH": str(tmp_path / "site"), "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}


@pytest.fixture
def vlmkit(tmp_path: Path, environment: Mapping[str, str]) -> Vlmkit:
    """Run ``vlmkit`` in a process of its own, in the directory ``tmp_path``."""

    def call(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "vlmkit", *map(str, arguments)],
            cwd=tmp_path,
            env={**environment, **variables},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return call


@pytest.fixture
def in_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Vlmkit:
    """Run ``vlmkit`` in this process, in the directory ``tmp_path``: quicker than a new process."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()  # what the test itself printed
        with monkeypatch.context() as patch, pytest.raises(SystemExit) as end:
            for name, value in {"HF_HUB_OFFLINE": "1", "COLUMNS": "200", **variables}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["vlmkit", *map(str, arguments)])
            main(sys.argv[1:])
        assert isinstance(end.value.code, int)
        return subprocess.CompletedProcess(arguments, end.value.code, *capfd.readouterr())

    return call


@pytest.fixture
def vlmkit_here(toy: Path, in_process: Vlmkit, monkeypatch: pytest.MonkeyPatch) -> Vlmkit:
    """Run ``vlmkit`` with the toy plugin in this process, in the directory ``tmp_path``."""
    monkeypatch.syspath_prepend(toy)
    return in_process


@pytest.fixture
def toy(install_plugin: Install) -> Path:
    """Install the toy plugin for the processes of this test."""
    return install_plugin("toy", TOY.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def toy_host() -> Iterator[PluginHost]:
    """The toy plugin alone, loaded into this process."""
    sys.path.insert(0, str(TOY.parent))
    yield PluginHost.load(found=[EntryPoint("toy", "toy", "vlmkit")])
    sys.path.remove(str(TOY.parent))
    sys.modules.pop("toy", None)
