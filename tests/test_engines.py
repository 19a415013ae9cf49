"""What lets the examples of a run be solved elsewhere: pipelines, results and errors that travel; ``--engine``."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path

import PIL.Image
import pytest
from click.testing import CliRunner

from vlmkit import Example, LabelSpace, Pipeline, errors
from vlmkit.cli.main import cli
from vlmkit.engine import Solved, portable
from vlmkit.registry import PluginHost
from vlmkit.runs.record import Record
from vlmkit.types import ImageUrl
from vlmkit_adapters.scripted import ScriptedBackend
from vlmkit_strategies.dci import DCI

LABELS = LabelSpace(f"label {index}" for index in range(30))
EXAMPLES = [Example(str(index), (PIL.Image.new("RGB", (2, 2), (index, 0, 0)),)) for index in range(6)]
MADE = {
    errors.UnknownNameError: ("colour", "blu", ["blue", "red"]),
    errors.PluginError: ("mine", "it is broken"),
    errors.PluginConflictError: ("mine", "it is taken"),
    errors.ImageError: ("a.png", "it is cut off"),
    errors.SystematicError: (3, ValueError("it is wrong")),
}


def sent(value):
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("model", ["scripted:accuracy=0.7", ScriptedBackend(accuracy=0.7)])
@pytest.mark.parametrize("strategy", ["dci:group_size=4", DCI(group_size=4)])
def test_a_pipeline_travels_as_what_it_was_made_from(model, strategy):
    pipeline = Pipeline(model, strategy, seed=3, prompt="described", in_flight=2)
    expected = [solved.prediction for solved in pipeline.solve(EXAMPLES, LABELS)]
    again = sent(pipeline)
    assert again.prompt == pipeline.prompt
    assert [solved.prediction for solved in again.solve(EXAMPLES, sent(LABELS))] == expected


def test_plugins_that_are_left_out_stay_out():
    host = sent(PluginHost.load(blocked=["mimic"]))
    assert "mimic" not in {plugin.name for plugin in host.plugins}


@pytest.mark.parametrize(
    "kind", [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.VlmkitError)]
)
def test_errors_travel_whole(kind):
    if kind is errors.CapabilityError:
        error = kind(["mask"], strategy="s", backend="b")
    else:
        hint = {} if kind in (errors.UnknownNameError, errors.SystematicError) else {"hint": "mend it"}
        error = kind(*MADE.get(kind, ("it is wrong",)), **hint)
    there = sent(error)
    assert type(there) is kind and str(there) == str(error) and vars(there) == vars(error)


class _Odd(errors.BackendError):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")
        self.lock = open(__file__)  # noqa: SIM115 - stands for what no process can send

    def close(self) -> _Odd:
        self.lock.close()
        return self


@pytest.mark.parametrize("error", [_Odd("this", "that").close(), ValueError("no")])
def test_an_error_that_does_not_pickle_is_recorded_as_if_it_did(error):
    solved = Solved(EXAMPLES[0], error=error)
    there = sent(portable(solved))
    assert Record.of(there) == Record.of(solved)
    assert isinstance(there.error, errors.BackendError) == isinstance(error, errors.BackendError)
    assert sent(there.error).args == there.error.args


def test_paths_and_addresses_travel_back_and_pictures_in_memory_do_not():
    there = (Path("a.png"), ImageUrl("http://example.org/a.png"))
    mixed = Example("a", (there[0], EXAMPLES[0].images[0], b"png", there[1]))
    assert portable(Solved(mixed, error=ValueError("no"))).example.images == there


def test_an_engine_is_named_and_takes_its_own_options(tmp_path):
    data = ["glyphs:labels=5,images=3", "--model", "scripted", "--output", str(tmp_path / "run"), "--quiet"]
    run = CliRunner()
    assert run.invoke(cli, ["run", *data, "--engine", "local"], catch_exceptions=False).exit_code == 0
    for arguments, message in (
        (["--engine", "locl"], "unknown engine 'locl'; did you mean local?"),
        (["--workers", "2"], "engine local has no option workers; leave workers out"),
        (["--engine", "local:workers=2"], "unknown option 'workers' in engine local"),
    ):
        with pytest.raises(errors.UserError, match=message.replace("?", r"\?")):
            run.invoke(cli, ["run", *data, *arguments], catch_exceptions=False, standalone_mode=False)
    listed = run.invoke(cli, ["ls", "engines", "--json"], catch_exceptions=False)
    assert '"local"' in listed.output
