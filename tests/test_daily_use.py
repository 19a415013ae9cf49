"""Daily use: runs listed, shown and deleted; completion; settings from files and environment; how much is said."""

import errno
import io
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from vlmkit.cli import progress
from vlmkit.cli.main import cli
from vlmkit.cli.plan import plan
from vlmkit.cli.speed import speed
from vlmkit.errors import RunDirectoryError, UnknownNameError
from vlmkit.runs.files import Lock
from vlmkit.runs.overview import find_run

COLOURS = ("run", "colours", "--strategy", "halves", "--model", "colours")


def error_of(result):
    assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr
    return result.stderr


def test_runs_are_listed_shown_and_deleted(vlmkit_here, tmp_path: Path):
    assert "there is no run in runs" in vlmkit_here("runs").stderr
    vlmkit_here(*COLOURS, "--output", "runs/one")
    vlmkit_here(*COLOURS, "--output", "runs/more/two", "--limit", "2")
    (tmp_path / "runs" / "torn").mkdir()
    (tmp_path / "runs" / "torn" / "manifest.json").write_text("{")
    (tmp_path / "runs" / "else").mkdir()
    (tmp_path / "runs" / "else" / "manifest.json").write_text('{"name": "an extension"}')
    listed = {Path(row["path"]).name: row for row in json.loads(vlmkit_here("runs", "--json").stdout)}
    assert {name: row["status"] for name, row in listed.items()} == {
        "one": "success",
        "two": "success",
        "torn": "broken",
        "else": "broken",
    }
    assert listed["one"]["accuracy"]["value"] == 1 and listed["one"]["strategy"] == "halves"
    assert listed["one"]["bytes"] == sum(file.stat().st_size for file in (tmp_path / "runs" / "one").iterdir())
    assert listed["one"]["accuracy"].keys() == {"value", "low", "high", "n"}
    table = vlmkit_here("runs").stdout
    assert "more/two" in table and "100.0%" in table
    assert "cannot be read" in listed["torn"]["problem"]
    assert "colours" in vlmkit_here("runs", "show", "on").stdout
    assert json.loads(vlmkit_here("runs", "show", "two", "--json").stdout)["results"]["n"]["done"] == 2

    assert "holds no run" in error_of(vlmkit_here("runs", "delete", ".", "--yes"))
    assert "is no manifest of a run" in error_of(vlmkit_here("runs", "delete", "one", "else", "--yes"))
    lock = Lock.take(tmp_path / "runs" / "one" / ".lock")
    assert "is in use by process" in error_of(vlmkit_here("runs", "delete", "one", "--yes"))
    lock.release()
    assert (tmp_path / "runs" / "one" / "results.json").exists()
    assert vlmkit_here("runs", "delete", "one", "two", "--yes").returncode == 0
    assert sorted(path.name for path in (tmp_path / "runs").rglob("manifest.json")) == ["manifest.json"] * 2
    assert not (tmp_path / "runs" / "one").exists() and (tmp_path / "runs" / "else").exists()


@pytest.mark.parametrize(
    ("file", "changed", "status"),
    [
        ("results.json", {"metrics": {"accuracy": 0.5}}, "broken"),
        ("results.json", {"metrics": None}, "broken"),
        ("manifest.json", {"session": {"config": {"model": ["one", "two"]}, "started": "2026"}}, "success"),
    ],
)
def test_what_another_hand_wrote_into_a_run_is_no_traceback(vlmkit_here, tmp_path: Path, file, changed, status):
    vlmkit_here(*COLOURS, "--output", "runs/one")
    path = tmp_path / "runs" / "one" / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    told = vlmkit_here("runs")
    assert told.returncode == 0 and status in told.stdout


def test_a_manifest_of_something_else_is_no_run(vlmkit_here, tmp_path: Path):
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "manifest.json").write_text('{"name": "an extension"}')
    for asked in (("score", "else"), ("report", "else"), ("runs", "show", "else"), ("compare", "else", ".")):
        assert "is no manifest of a run" in error_of(vlmkit_here(*asked))


def test_delete_asks_first(vlmkit_here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    vlmkit_here(*COLOURS, "--output", "runs/one")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\ny\n"))
    assert vlmkit_here("runs", "delete", "one").returncode == 0
    assert (tmp_path / "runs" / "one").exists()
    assert vlmkit_here("runs", "delete", "one").returncode == 0
    assert not (tmp_path / "runs" / "one").exists()


def test_a_name_that_is_too_long_is_none(vlmkit_here):
    assert "there is no run in" in vlmkit_here("runs", "--root", "long" * 100).stderr
    assert "unknown run" in error_of(vlmkit_here("runs", "show", "long" * 100))
    assert "there is no folder" in error_of(vlmkit_here("report", "one", "--output", f"{'long' * 100}/report.html"))


def test_a_folder_that_may_not_be_read_is_one_line(vlmkit_here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def forbidden(_: Path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", forbidden)
    told = error_of(vlmkit_here("runs", "--root", str(tmp_path)))
    assert "cannot be read (Permission denied); change its permissions\n" in told


def test_a_short_name_means_one_run(tmp_path: Path):
    for name in ("20260101-dci", "20260102-dci", "20260103-flat"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").touch()
    assert find_run("flat", tmp_path) == find_run("20260103", tmp_path) == tmp_path / "20260103-flat"
    with pytest.raises(RunDirectoryError, match="dci may be any of 20260101-dci, 20260102-dci"):
        find_run("dci", tmp_path)
    with pytest.raises(UnknownNameError):
        find_run("tree", tmp_path)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("vlmkit r", {"run", "report", "runs"}),
        ("vlmkit run --strat", {"--strategy"}),
        ("vlmkit run --strategy hal", {"halves"}),
        ("vlmkit run --strategy pooled+hal", {"pooled+halves"}),
        ("vlmkit run --model scr", {"scripted"}),
        ("vlmkit run gly", {"glyphs"}),
        ("vlmkit report runs/o", {"runs/one"}),
        ("vlmkit score runs/o", {"runs/one"}),
        ("vlmkit runs delete o", {"one"}),
    ],
)
def test_a_shell_completes(vlmkit_here, tmp_path: Path, line: str, offered: set[str]):
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "manifest.json").touch()
    words = {"_VLMKIT_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    items = dict(reversed(item.split(",", 1)) for item in vlmkit_here(**words).stdout.splitlines())
    assert offered <= items.keys()
    assert {name for name, kind in items.items() if kind == "plain"} == offered


def test_completion_imports_no_torch(toy, environment):
    script = (
        "import atexit, sys\nfrom vlmkit.cli.main import main\n"
        "atexit.register(lambda: print('heavy', {'torch', 'transformers'} & sys.modules.keys()))\nmain([])"
    )
    words = {"_VLMKIT_COMPLETE": "bash_complete", "COMP_WORDS": "vlmkit run --strategy hal", "COMP_CWORD": "3"}
    result = subprocess.run(
        [sys.executable, "-c", script], env={**environment, **words}, capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines() == ["plain,halves", "heavy set()"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(vlmkit_here, shell: str):
    assert f"_VLMKIT_COMPLETE={shell}_complete" in vlmkit_here("completion", shell).stdout


def test_each_source_of_a_setting_overrides_the_one_before(vlmkit_here, tmp_path: Path):
    (tmp_path / "run.toml").write_text("in-flight = 5\n")

    def in_flight(*more, **variables):
        return json.loads(vlmkit_here(*COLOURS, "--json", *more, **variables).stdout)["config"]["in_flight"]

    config = ("--config", "run.toml")
    assert in_flight() == 32
    assert in_flight(*config) == 5
    assert in_flight(*config, VLMKIT_RUN_IN_FLIGHT="6") == 6
    assert in_flight(*config, "--in-flight", "7", VLMKIT_RUN_IN_FLIGHT="6") == 7


@pytest.mark.parametrize(
    ("content", "told"),
    [("model = true", "holds a bool; give its value"), ("fresh = 3", "holds a int; give true or false")],
)
def test_a_setting_of_another_type_is_refused(vlmkit_here, tmp_path: Path, content: str, told: str):
    (tmp_path / "run.toml").write_text(content)
    assert told in error_of(vlmkit_here(*COLOURS, "--config", "run.toml"))


def test_lists_in_a_file_are_lists(tmp_path: Path):
    file = tmp_path / "settings.toml"
    file.write_text('strategy = ["flat", "dci"]\n')
    assert plan.make_context("plan", ["--config", str(file)]).params["strategy"] == ("flat", "dci")
    file.write_text("labels = [5, 10]\n")
    assert speed.make_context("speed", ["--config", str(file)]).params["labels"] == (5, 10)


def options_of(context: click.Context):
    """Yield every option below a command, with its context."""
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command is not None
            yield from options_of(click.Context(command, parent=context, info_name=name))
    yield from ((context, option) for option in context.command.params if isinstance(option, click.Option))


def test_every_option_has_the_variable_that_its_name_says(monkeypatch: pytest.MonkeyPatch):
    for context, option in options_of(click.Context(cli, info_name="vlmkit", auto_envvar_prefix="VLMKIT")):
        flag = next(text[2:] for text in option.opts if text.startswith("--"))
        name = f"{context.auto_envvar_prefix}_{flag}".upper().replace("-", "_")
        monkeypatch.setenv(name, "given")
        assert option.resolve_envvar_value(context) == "given", name


def test_display_decides_what_is_said(vlmkit_here, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    run = (*COLOURS, "--limit", "3", "--fresh")
    for shown in ((), ("--display", "plain"), ("--display", "full")):  # there is no terminal here
        lines = vlmkit_here(*run, *shown).stderr.splitlines()
        assert [line.split(",")[0] for line in lines] == ["1 of 3", "2 of 3", "3 of 3"]
        assert lines[-1].endswith("accuracy 100.0%")
    assert vlmkit_here(*run, "--quiet").stderr == vlmkit_here(*run, "--display", "none").stderr == ""
    assert "exclude each other" in error_of(vlmkit_here(*run, "--quiet", "--display", "full"))


def test_a_strategy_that_lacks_its_taxonomy_leaves_no_directory(vlmkit_here, tmp_path: Path):
    run = ("run", "colours", "--model", "colours", "--strategy", "tree", "--output", "mine")
    assert "tree needs a taxonomy" in error_of(vlmkit_here(*run))
    assert not (tmp_path / "mine").exists()
