"""What tests of the command line share: real plugins in real distributions, and real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

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
