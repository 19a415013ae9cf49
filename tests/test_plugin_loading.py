"""Loading plugins: what is broken is kept and shown, the others load."""

from __future__ import annotations

import itertools
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from vlmkit.errors import PluginConflictError, PluginError, UnknownNameError
from vlmkit.registry import Builder, PluginHost
from vlmkit_strategies.flat import Flat

STRATEGY = """
from vlmkit import hookimpl
@hookimpl
def vlmkit_register(registry):
    registry.strategy({name!r}, "{target}", summary="of a test")
"""
OBSERVER = """
from vlmkit import hookimpl
@hookimpl
def vlmkit_run_finished(run, results):
    results.append(run)
"""
_fresh = itertools.count()


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that writes a plugin module and gives its entry point."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, source: str, *, module: str = "") -> EntryPoint:
        module = module or f"vlmkit_test_plugin_{next(_fresh)}"
        (tmp_path / f"{module}.py").write_text(source)
        return EntryPoint(name, module, "vlmkit")

    return write


def good(name: str) -> str:
    return STRATEGY.format(name=name, target="vlmkit_strategies.flat:Flat")


def test_broken_plugins_are_kept_with_their_error_and_the_others_load(plugin) -> None:
    host = PluginHost.load(
        found=[
            plugin("missing", "import vlmkit_no_such_module"),
            plugin("torn", "def broken(:"),
            plugin("raises", good("left").replace('summary="of a test")', 'summary="")\n    1 / 0')),
            plugin("misspelt", good("typo").replace("vlmkit_register", "vlmkit_registr")),
            plugin("arguments", good("args").replace("(registry)", "(registry, colour)")),
            plugin("unmarked", good("plain").replace("@hookimpl\n", "")),
            plugin("script", "raise SystemExit(3)"),
            EntryPoint("absent", "vlmkit_absent_module", "vlmkit"),
            plugin("good", good("mine")),
        ]
    )
    errors = {failed.name: str(failed.error) for failed in host.failures}
    assert errors.keys() == {"missing", "torn", "raises", "misspelt", "arguments", "unmarked", "script", "absent"}
    assert all(isinstance(failed.error, PluginError) for failed in host.failures)
    assert "ModuleNotFoundError: No module named 'vlmkit_no_such_module'" in errors["missing"]
    assert "SyntaxError" in errors["torn"]
    assert "ZeroDivisionError" in errors["raises"]
    assert "unknown hook 'vlmkit_registr'; did you mean vlmkit_register or" in errors["misspelt"]
    assert "colour" in errors["arguments"]
    assert "vlmkit_register is not marked as a hook; put @vlmkit.hookimpl above it" in errors["unmarked"]
    assert "SystemExit: 3" in errors["script"]
    assert [entry.name for entry in host.registry.entries("strategy")] == ["mine"]
    assert host.registry.get("strategy", "mine").owner == "good (no distribution ?)"
    assert host.registry.get("strategy", "mine").load() is Flat


def test_of_two_plugins_of_one_name_the_first_stays_whole(plugin) -> None:
    host = PluginHost.load(found=[plugin("twin", good("first") + OBSERVER), plugin("twin", good("second"))])
    (failed,) = host.failures
    assert isinstance(failed.error, PluginConflictError)
    assert "has the name of twin" in str(failed.error)
    assert [entry.name for entry in host.registry.entries("strategy")] == ["first"]
    assert finished(host) == ["run"]


def test_one_module_under_two_names_keeps_its_hooks_once(plugin) -> None:
    found = [plugin("a", good("mine") + OBSERVER, module="vlmkit_test_plugin_shared")]
    host = PluginHost.load(found=[*found, EntryPoint("b", "vlmkit_test_plugin_shared", "vlmkit")])
    assert [failed.name for failed in host.failures] == ["b"]
    assert finished(host) == ["run"]
    assert host.registry.get("strategy", "mine").owner.startswith("a ")


def test_of_two_plugins_that_register_one_strategy_both_are_named(plugin) -> None:
    host = PluginHost.load(found=[plugin("a", good("mine")), plugin("b", good("other") + good("mine") + OBSERVER)])
    (failed,) = host.failures
    assert isinstance(failed.error, PluginConflictError)
    assert str(failed.error).startswith("plugin b (no distribution ?): strategy 'mine' is already registered by a (")
    assert "--no-plugin b" in str(failed.error)
    assert [entry.name for entry in host.registry.entries("strategy")] == ["mine"]
    assert finished(host) == []


def test_a_blocked_plugin_is_left_out_and_an_unknown_one_is_an_error(plugin) -> None:
    found = [plugin("a", good("mine")), plugin("broken", "1 / 0")]
    host = PluginHost.load(found=found, blocked=["broken"])
    assert [(loaded.name, loaded.hooks) for loaded in host.plugins] == [("a", ("vlmkit_register",))]
    with pytest.raises(UnknownNameError, match="unknown plugin 'broke'; did you mean broken"):
        PluginHost.load(found=found, blocked=["broke"])


def test_a_target_that_cannot_be_imported_names_its_plugin(plugin) -> None:
    source = STRATEGY.format(name="lazy", target="vlmkit_strategies.flat:Flatt")
    host = PluginHost.load(found=[plugin("a", source)])
    assert host.failures == ()
    with pytest.raises(PluginError, match=r"plugin a \(.*strategy lazy cannot be imported .*Flatt.*--no-plugin"):
        Builder(host.registry).strategy("lazy")


def test_annotations_that_exist_for_type_checkers_only_are_the_plugins_fault(plugin) -> None:
    source = "from __future__ import annotations\n" + STRATEGY + "\ndef make(size: Size = 1): ...\n"
    source = source.format(name="unresolved", target="vlmkit_test_plugin_unresolved:make")
    host = PluginHost.load(found=[plugin("a", source, module="vlmkit_test_plugin_unresolved")])
    with pytest.raises(PluginError, match=r"unresolved.*'Size' is not defined.*TYPE_CHECKING"):
        Builder(host.registry).strategy("unresolved:size=2")


def test_discovery_imports_nothing_heavy() -> None:
    code = "import sys; from vlmkit.registry import PluginHost; PluginHost.load(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def finished(host: PluginHost) -> list[str]:
    """Call a hook and return who heard it."""
    results: list[str] = []
    host.manager.hook.vlmkit_run_finished(run="run", results=results)
    return results
