"""For a plugin's author: what is traced, what is loaded besides the installed, and what warns of deprecation."""

from __future__ import annotations

import itertools
import types
import warnings
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from vlmkit.errors import PluginError
from vlmkit.registry import PluginHost, hooks, hookspec, loader
from vlmkit.registry.isolate import call_each
from vlmkit.registry.trace import Trace

STRATEGY = """
from vlmkit import hookimpl
@hookimpl
def vlmkit_register(registry):
    registry.strategy("traced", "vlmkit_strategies.flat:Flat", summary="of a test")
"""
RAISING = """
from vlmkit import hookimpl
@hookimpl
def vlmkit_run_finished(results):
    raise OSError("no room")
"""
OBSERVER = """
from vlmkit import hookimpl
@hookimpl
def vlmkit_run_finished({arguments}):
    results.append("heard")
"""
_fresh = itertools.count()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that writes a module that can be imported and gives its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(source: str) -> str:
        name = f"vlmkit_traced_plugin_{next(_fresh)}"
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return write


def point(name: str, module: str) -> EntryPoint:
    return EntryPoint(name, module, "vlmkit")


def test_trace_tells_of_loading_calls_and_tracebacks(module) -> None:
    lines: list[str] = []
    found = [point("good", module(STRATEGY)), point("sad", module(RAISING)), point("torn", module("1 / 0"))]
    host = PluginHost.load(found=[*found, point("out", "nowhere")], blocked=["out"], trace=Trace(lines.append))
    assert f"loading good = {found[0].value} (no distribution ?)" in lines
    assert "leaving out out = nowhere" in lines
    assert any(line.startswith("good: vlmkit_register(registry) done in ") for line in lines)
    broken = lines[lines.index("torn is broken") :]
    assert broken[1] == "  Traceback (most recent call last):"
    assert any(line == "  ZeroDivisionError: division by zero" for line in broken)
    call_each(host, "vlmkit_run_finished", run=None, results={})
    assert lines[-1].startswith("sad: vlmkit_run_finished(results) raised OSError in ")


def test_environment_switches_tracing_on(vlmkit_here) -> None:
    done = vlmkit_here("plugins", "--json", VLMKIT_TRACE_PLUGINS="1")
    assert "plugins: loading toy = toy (toy-dist 1.0)\n" in done.stderr
    assert done.stdout.startswith("[") and "loading" not in done.stdout


@pytest.mark.parametrize("variable", ["VLMKIT_LOAD_PLUGINS", "VLMKIT_LOAD_PLUGIN"])
def test_a_module_that_is_not_installed_is_loaded_on_request(vlmkit_here, module, variable) -> None:
    name = module(STRATEGY)
    done = vlmkit_here("ls", "strategies", "--json", **{variable: name})
    assert f'"owner": "{name} (no distribution ?)"' in done.stdout
    done = vlmkit_here("--load-plugin", name, "ls", "strategies", "--json")
    assert '"name": "traced"' in done.stdout


def test_what_was_asked_for_is_not_left_out_in_silence(vlmkit_here, module) -> None:
    done = vlmkit_here("--load-plugin", "vlmkit_no_such_module", "ls", "strategies")
    assert done.returncode == 2
    assert done.stderr.startswith("error: plugin vlmkit_no_such_module (no distribution ?): ModuleNotFoundError")
    with pytest.raises(PluginError, match="already registered by a "):
        PluginHost.load(found=[point("a", module(STRATEGY))], modules=[module(STRATEGY)])


@pytest.fixture
def deprecating(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deprecate the argument ``run`` of a hook, as a later version may."""

    @hookspec(warn_on_impl_args={"run": DeprecationWarning("run becomes directory; it goes in vlmkit 0.3")})
    def vlmkit_run_finished(run, results):
        pass

    later = types.ModuleType("later_hooks")
    vars(later).update({**vars(hooks), "vlmkit_run_finished": vlmkit_run_finished})
    monkeypatch.setattr(loader, "hooks", later)


def test_a_deprecated_argument_warns_whoever_takes_it_and_nobody_else(module, deprecating) -> None:
    old, new = module(OBSERVER.format(arguments="run, results")), module(OBSERVER.format(arguments="results"))
    with pytest.warns(DeprecationWarning) as warned:
        host = PluginHost.load(found=[point("old", old), point("new", new)])
    assert [(Path(one.filename).stem, str(one.message)) for one in warned] == [
        (old, "run becomes directory; it goes in vlmkit 0.3")
    ]
    assert host.failures == ()
    heard: list[str] = []
    assert call_each(host, "vlmkit_run_finished", run="run", results=heard) == {}
    assert heard == ["heard", "heard"]


def test_under_strict_warnings_a_deprecated_argument_breaks_its_own_plugin_alone(module, deprecating) -> None:
    found = [point("old", module(OBSERVER.format(arguments="run, results"))), point("good", module(STRATEGY))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        host = PluginHost.load(found=found)
    assert [(failed.name, "it goes in vlmkit 0.3" in str(failed.error)) for failed in host.failures] == [("old", True)]
    assert [entry.name for entry in host.registry.entries("strategy")] == ["traced"]
