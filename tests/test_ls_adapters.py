"""``vlmkit ls adapters``: what each adapter can do, told without importing it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from vlmkit.registry import PluginHost
from vlmkit.testing.server import FakeServer, Said
from vlmkit_adapters.openai import ServerBackend
from vlmkit_adapters.scripted import ScriptedBackend
from vlmkit_adapters.tiny import tiny

READOUTS = ["likelihood", "letter", "text"]


@pytest.fixture
def rows(vlmkit_here):
    return {row["name"]: row for row in json.loads(vlmkit_here("ls", "adapters", "--json").stdout)}


def test_families_readouts_images_and_branching_are_told(rows):
    qwen = rows["qwen"]
    assert "qwen3_vl" in qwen["model_types"] and qwen["readouts"] == READOUTS
    assert (qwen["several_images"], qwen["branching"]) == (True, "token-tree")
    served = rows["openai"]
    assert (served["model_types"], served["readouts"], served["branching"]) == ([], READOUTS[1:], "server")


def test_adapter_that_says_nothing_is_listed_as_unknown(rows, vlmkit_here):
    toy = rows["colours"]
    assert (toy["readouts"], toy["several_images"], toy["branching"]) == ([], None, "unknown")
    (line,) = [line for line in vlmkit_here("ls", "adapters").stdout.splitlines() if "colours" in line]
    assert line.split()[:3] == ["colours", "unknown", "unknown"]


def test_what_is_told_is_what_the_backends_can_do():
    entries = {entry.name: entry for entry in PluginHost.load().registry.entries("adapter")}
    with FakeServer(lambda asked: Said("")) as server:
        backends = {"tiny": tiny(), "scripted": ScriptedBackend(), "openai": ServerBackend("fake", server.base_url)}
    for name, backend in backends.items():
        assert entries[name].capabilities == backend.capabilities


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_no_adapter_is_imported_to_list_it(environment, more):
    script = (
        "import sys\nfrom vlmkit.cli.main import main\n"
        f"try:\n    main({['ls', 'adapters', *more]!r})\n"
        "except SystemExit as end:\n    assert end.code == 0, end.code\n"
        "heavy = {'torch', 'transformers', 'openai', 'vlmkit_adapters.qwen'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "token-tree" in result.stdout


@pytest.mark.parametrize("wrong", ["capabilities=['telepathy']", "branching='magic'"])
def test_plugin_that_tells_nonsense_is_broken_and_named(vlmkit_here, install_plugin, wrong):
    install_plugin(
        "odd",
        "from vlmkit import hookimpl\n\n@hookimpl\ndef vlmkit_register(registry):\n"
        f"    registry.adapter('odd', 'odd:Odd', summary='', {wrong})\n",
    )
    plugins = {row["name"]: row for row in json.loads(vlmkit_here("plugins", "--json").stdout)}
    assert "ValueError" in plugins["odd"]["error"]
