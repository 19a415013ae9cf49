"""The command line as a user meets it: real processes, their output, their exit codes, their files."""

import json
import resource
import shlex
import signal
import subprocess
import sys
import time

import pytest

RUN = ("run", "colours", "--strategy", "halves")
COLOURS = (*RUN, "--model", "colours")


def records(directory):
    return [json.loads(line) for line in (directory / "predictions.jsonl").read_text().splitlines()]


def only_run(tmp_path):
    (found,) = (tmp_path / "runs").iterdir()
    return found


def one_line(result):
    """Return the one line that a wrong request gives."""
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1, result.stderr
    assert result.stdout == ""
    return result.stderr


@pytest.mark.parametrize("arguments", ["--help", "run --help", "plan -h", "ls strategies", "ls adapters", "plugins"])
def test_listing_and_help_import_no_torch(arguments, toy, tmp_path, environment):
    script = (
        "import sys\nfrom vlmkit.cli.main import main\n"
        f"try:\n    main({arguments.split()!r})\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        "heavy = {'torch', 'transformers'} & sys.modules.keys()\nassert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_a_run_writes_its_directory_and_a_table(vlmkit, toy, tmp_path):
    result = vlmkit(*COLOURS)
    assert result.returncode == 0, result.stderr
    assert "accuracy" in result.stdout and "100.0%" in result.stdout and "6 of 6" in result.stdout
    assert result.stderr == ""
    directory = only_run(tmp_path)
    assert directory.name.endswith("-halves")
    assert str(directory.relative_to(tmp_path)) in result.stdout
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["model"] == {"model": "colours", "fail": None, "device": "cpu"}
    assert manifest["session"]["versions"]["torch"]
    assert {"name": "toy", "distribution": "toy-dist", "version": "1.0"} in manifest["session"]["plugins"]


def test_json_on_stdout_is_the_results_file(vlmkit_here, tmp_path):
    result = vlmkit_here(*COLOURS, "--json", "--limit", "4")
    results = json.loads(result.stdout)
    assert results == json.loads((only_run(tmp_path) / "results.json").read_text())
    assert (results["limit"], results["n"]["total"], results["config"]["limit"]) == (4, 4, 4)


def test_without_targets_the_predictions_are_shown(vlmkit_here):
    result = vlmkit_here("run", "colours:targets=false,images=60", "--strategy", "whole", "--model", "colours")
    assert "accuracy" not in result.stdout
    # As cells, since the directory's name holds the time.
    assert " red " in result.stdout and "\n  049 " in result.stdout and "\n  050 " not in result.stdout
    assert "the first 50; all are in" in result.stderr


def test_a_question_prints_its_reply(vlmkit_here):
    result = vlmkit_here("run", 'colours:question="Why, then?",images=1', "--strategy", "whole", "--model", "colours")
    assert "a reply to Why, then?" in result.stdout


def test_samples_are_logged_when_asked_for(vlmkit_here, tmp_path):
    vlmkit_here(*COLOURS, "--output", "plain")
    vlmkit_here(*COLOURS, "--log-samples", "--output", "logged")
    assert not (tmp_path / "plain" / "samples.jsonl").exists()
    assert len((tmp_path / "logged" / "samples.jsonl").read_text().splitlines()) == 18


def test_a_killed_run_goes_on_and_has_every_example_once(vlmkit, toy, tmp_path, environment):
    command = ("run", "colours:images=30", "--strategy", "halves", "--in-flight", "2", "--log-samples", "--model")
    process = subprocess.Popen(
        [sys.executable, "-m", "vlmkit", *command, "colours:delay=0.02"], cwd=tmp_path, env=environment
    )
    while not (found := list(tmp_path.glob("runs/*/predictions.jsonl"))) or len(found[0].read_bytes().splitlines()) < 5:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = records(only_run(tmp_path))
    assert 5 <= len(killed) < 30

    result = vlmkit(*command, "colours:delay=0.02", "--json")
    assert "continuing runs/" in result.stderr
    assert result.returncode == 0
    assert [record["id"] for record in records(only_run(tmp_path))] == [f"{index:03d}" for index in range(30)]
    assert len((only_run(tmp_path) / "samples.jsonl").read_text().splitlines()) == 90
    whole = json.loads(vlmkit(*command, "colours", "--output", "whole", "--json").stdout)
    going_on = json.loads(result.stdout)
    for key in ("status", "n", "metrics", "usage"):
        assert going_on[key] == whole[key]


def test_ctrl_c_is_a_cancelled_run_that_goes_on(vlmkit, toy, tmp_path, environment):
    command = ("run", "colours:images=12", "--strategy", "halves", "--in-flight", "1", "--model", "colours:delay=0.05")
    process = subprocess.Popen(
        [sys.executable, "-m", "vlmkit", *command],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )
    while not list(tmp_path.glob("runs/*/predictions.jsonl")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 130
    assert "the examples in flight are finished first" in told and "Traceback" not in told
    program, *again = shlex.split(told.splitlines()[-1].partition("go on with: ")[2])
    assert (program, *again) == ("vlmkit", *command, "--output", str(only_run(tmp_path).relative_to(tmp_path)))
    assert json.loads((only_run(tmp_path) / "results.json").read_text())["status"] == "cancelled"
    assert vlmkit(*again).returncode == 0
    assert len(records(only_run(tmp_path))) == 12


def test_fresh_starts_anew_and_a_finished_run_is_not_continued(vlmkit_here, tmp_path):
    for arguments in (COLOURS, COLOURS, (*COLOURS, "--fresh")):
        assert vlmkit_here(*arguments).returncode == 0
    assert len(list((tmp_path / "runs").iterdir())) == 3


def test_two_processes_cannot_write_one_run(vlmkit, toy, tmp_path, environment):
    command = (*RUN, "--model", "colours:delay=0.2", "--output", "mine")
    first = subprocess.Popen([sys.executable, "-m", "vlmkit", *command], cwd=tmp_path, env=environment)
    while not (tmp_path / "mine" / "manifest.json").exists():
        assert first.poll() is None
        time.sleep(0.01)
    assert f"run directory mine is in use by process {first.pid}" in one_line(vlmkit(*command))
    first.kill()
    first.wait()


def test_another_configuration_in_the_same_directory_is_refused(vlmkit_here):
    assert vlmkit_here(*COLOURS, "--output", "mine").returncode == 0
    told = one_line(
        vlmkit_here("run", "colours", "--strategy", "whole", "--model", "colours", "--output", "mine", "--seed", "3")
    )
    assert "seed was 0, is 3; " in told
    assert 'strategy.type was "toy.Halves", is "toy.Whole"' in told


def limited(bytes_allowed):
    """Return what makes a child process get a real error from the system for files beyond a size."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_allowed, bytes_allowed))


def test_a_full_disk_stops_the_run_and_spoils_nothing(vlmkit, toy, tmp_path, environment):
    command = ("run", "colours:images=40", "--strategy", "halves", "--model", "colours", "--output", "mine")
    result = subprocess.run(
        [sys.executable, "-B", "-m", "vlmkit", *command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=limited(9_000),
    )
    assert "predictions.jsonl cannot be written (File too large); free space" in one_line(result)
    before = records(tmp_path / "mine")
    assert 0 < len(before) < 40
    assert json.loads((tmp_path / "mine" / "results.json").read_text())["n"]["done"] == len(before)
    assert vlmkit(*command).returncode == 0
    assert records(tmp_path / "mine")[: len(before)] == before
    assert len(records(tmp_path / "mine")) == 40


@pytest.mark.parametrize("output", ["a-file", "a-file/below", "/proc/no-such-place"])
def test_an_output_that_cannot_be_written_is_one_line(vlmkit_here, tmp_path, output):
    (tmp_path / "a-file").touch()
    assert f"{output} cannot be written" in one_line(vlmkit_here(*COLOURS, "--output", output))


def test_failures_are_shown_and_counted_against_the_budget(vlmkit_here, tmp_path):
    command = (
        "run",
        "colours:bad=1,images=10",
        "--strategy",
        "whole",
        "--model",
        "colours:fail=blue",
        "--output",
        "mine",
    )
    result = vlmkit_here(*command)
    assert result.returncode == 1
    assert "failed: 001: it is not a picture" in result.stderr and "failed: 002: no answer about blue" in result.stderr
    assert "error: 3 of 10 examples failed, more than --fail-on-error 1% allows" in result.stderr
    assert "7 of 10" in result.stdout
    assert vlmkit_here(*command, "--fail-on-error", "2").returncode == 1
    assert vlmkit_here(*command, "--fail-on-error", "3").returncode == 0
    assert vlmkit_here(*command, "--fail-on-error", "30%").returncode == 0
    assert vlmkit_here(*command, "--fail-on-error", "0.29").returncode == 1
    assert vlmkit_here(*command, "--fail-on-error", "0.3").returncode == 0
    assert len(records(tmp_path / "mine")) == 10


def test_at_most_five_failures_are_named(vlmkit_here):
    result = vlmkit_here("run", "colours:images=60", "--strategy", "whole", "--model", "colours:fail=blue")
    assert result.stderr.count("failed: ") == 5
    assert "10 of 60 examples failed" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--strategy", "halfs"), "unknown strategy 'halfs'; did you mean halves?"),
        (("--strategy", "halves:group_sise=2"), "did you mean group-size?"),
        (("--model", "colors"), "did you mean colours?"),
        (("--model", "colours:broken=true"), "the weights of colours are damaged; download them again"),
        (("--strategy", "letters"), "Letters needs letter"),
        (("--labels", "missing.txt"), "missing.txt"),
        (("--prompt", "missing.jinja"), "missing.jinja"),
        (("--limit", "0"), "--limit"),
        (("--fail-on-error", "many"), "'many' is no number of examples, no percentage such as 1% and no fraction"),
        (("--modle", "x"), "--modle"),
        (("--config", "missing.toml"), "config file missing.toml: there is no such file"),
    ],
)
def test_a_wrong_request_is_one_line(vlmkit_here, arguments, told):
    assert told in one_line(vlmkit_here(*COLOURS, *arguments))


def test_wrong_data_is_one_line(vlmkit_here, tmp_path):
    (tmp_path / "labels.txt").write_text("red\ngreen\n")
    assert "example '002' has the target 'blue'" in one_line(vlmkit_here(*COLOURS, "--labels", "labels.txt"))
    told = one_line(vlmkit_here("run", "colours:odd=true", "--strategy", "whole", "--model", "colours"))
    assert "'rad', which is none of the 6 labels; did you mean 'red'?" in told
    told = one_line(vlmkit_here("run", "coulours", "--strategy", "whole", "--model", "colours"))
    assert "there is no file or folder coulours, and unknown dataset 'coulours'; did you mean colours?" in told


def test_a_command_alone_shows_its_help_and_an_unknown_one_what_is_near(vlmkit_here):
    for command, listed in (((), "doctor"), (("glyphs",), "draw")):
        result = vlmkit_here(*command)
        assert result.returncode == 2
        assert result.stderr.startswith("Usage: vlmkit") and listed in result.stderr
    assert "unknown command 'rnu'; did you mean run" in one_line(vlmkit_here("rnu"))


@pytest.mark.parametrize(("redirect", "code", "told"), [(">/dev/full", 2, "no space is left"), (">&-", 0, "")])
def test_an_output_that_takes_nothing_is_no_traceback(toy, tmp_path, environment, redirect, code, told):
    command = f"{sys.executable} -m vlmkit {' '.join(COLOURS)} {redirect}"
    result = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == code
    assert told in result.stderr and "Traceback" not in result.stderr
    assert json.loads((only_run(tmp_path) / "results.json").read_text())["status"] == "success"


def test_precedence_is_default_file_environment_flag(vlmkit_here, tmp_path):
    (tmp_path / "vlmkit.toml").write_text('model = "colours"\nstrategy = "whole"\nin_flight = 3\nseed = 1\nlimit = 2\n')

    def config(*flags, **variables):
        return json.loads(
            vlmkit_here("run", "colours", "--config", "vlmkit.toml", "--json", *flags, **variables).stdout
        )["config"]

    assert [config()[key] for key in ("strategy", "in_flight", "seed", "device")] == ["whole", 3, 1, None]
    assert config(VLMKIT_RUN_SEED="2")["seed"] == 2
    assert config("--seed", "3", "--in_flight", "5", VLMKIT_RUN_SEED="2")["seed"] == 3


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('modle = "x"', "unknown key 'modle' in wrong.toml; did you mean model?"),
        ("= 3", "wrong.toml: broken TOML"),
        ("[run]\nseed = 3", "unknown key 'run'"),
        ("seed = [1]", "key seed in wrong.toml holds a list"),
        ('limit = "all"', "'all' is not a valid integer"),
        ("seed = 1.5", "'1.5' is not a valid integer"),
    ],
)
def test_a_wrong_config_file_is_one_line(vlmkit_here, tmp_path, content, told):
    (tmp_path / "wrong.toml").write_text(content)
    assert told in one_line(vlmkit_here(*COLOURS, "--config", "wrong.toml"))


def test_ls_shows_options_with_defaults_and_owners(vlmkit_here):
    rows = {row["name"]: row for row in json.loads(vlmkit_here("ls", "strategy", "--json").stdout)}
    assert rows["halves"]["options"] == {"group-size": "3", "names": "a,b"}
    assert rows["halves"]["owner"] == "toy (toy-dist 1.0)"
    adapters = {row["name"]: row for row in json.loads(vlmkit_here("ls", "adapters", "--json").stdout)}
    assert adapters["colours"]["model_types"] == ["colour_vl"] and "options" not in adapters["colours"]
    assert "group-size=3" in vlmkit_here("ls", "strategies").stdout
    assert "'colour' is not one of" in one_line(vlmkit_here("ls", "colour"))


BROKEN = "import vlmkit.no_such_module\n"
NOISY = """
from vlmkit import hookimpl

@hookimpl
def vlmkit_prediction(run, prediction):
    raise ValueError(f"cannot note {prediction.id}")

@hookimpl
def vlmkit_run_started(run):
    print(f"started {run.directory} with {run.config['strategy']}")

@hookimpl
def vlmkit_run_finished(results):
    print(f"finished {results['status']}")
"""
GREEDY = """
import click
from vlmkit import hookimpl

@hookimpl
def vlmkit_commands(cli):
    cli.add_command(click.Command("run"))
"""


def test_a_broken_plugin_is_shown_and_stops_nothing(vlmkit_here, install_plugin):
    install_plugin("rotten", BROKEN)
    rows = {row["name"]: row for row in json.loads(vlmkit_here("plugins", "--json").stdout)}
    assert rows["toy"]["error"] is None and rows["toy"]["hooks"] == ["vlmkit_commands", "vlmkit_register"]
    assert "plugin rotten (rotten-dist 1.0): ModuleNotFoundError" in rows["rotten"]["error"]
    listed = vlmkit_here("plugins")
    assert listed.returncode == 0 and "broken" in listed.stdout
    result = vlmkit_here(*COLOURS)
    assert result.returncode == 0
    assert result.stderr.startswith("warning: plugin rotten") and result.stderr.count("\n") == 1
    assert vlmkit_here("--no-plugin", "rotten", *COLOURS).stderr == ""
    assert vlmkit_here(*COLOURS, VLMKIT_NO_PLUGIN="rotten").stderr == ""
    assert "unknown plugin 'rotte'; did you mean rotten?" in one_line(vlmkit_here("--no-plugin", "rotte", *COLOURS))


def test_a_plugin_cannot_take_a_built_in_name(vlmkit, install_plugin):
    register = "from vlmkit import hookimpl\n@hookimpl\ndef vlmkit_register(registry):\n"
    install_plugin("aaa", register + "    registry.strategy('dci', 'aaa:Mine', summary='mine')\n")
    assert "strategy 'dci' is already registered by strategies (vlmkit " in vlmkit("plugins").stderr
    result = vlmkit("run", "glyphs:images=2", "--model", "scripted")
    assert result.returncode == 0 and "2 of 2" in result.stdout
    assert result.stderr.startswith("warning: plugin aaa (aaa-dist 1.0): strategy 'dci'")


def test_observers_see_a_run_and_cannot_stop_it(vlmkit, toy, install_plugin):
    install_plugin("noisy", NOISY)
    result = vlmkit(*COLOURS, "--output", "mine")
    assert result.returncode == 0
    assert "started mine with halves" in result.stdout and "finished success" in result.stdout
    assert result.stderr.count("warning: ") == 1
    assert "plugin noisy (noisy-dist 1.0): vlmkit_prediction raised ValueError: cannot note 000" in result.stderr


def test_a_plugin_adds_commands_and_takes_none_away(vlmkit, toy, install_plugin):
    install_plugin("greedy", GREEDY)
    assert "greet" in vlmkit("--help").stdout
    assert vlmkit("greet").stdout.startswith("hello from process")
    result = vlmkit(*COLOURS)
    assert result.returncode == 0 and "6 of 6" in result.stdout
    assert "plugin greedy (greedy-dist 1.0)" in result.stderr and "'run' is already taken" in result.stderr


def test_doctor_is_broken_by_what_is_broken(vlmkit_here, install_plugin):
    install_plugin("rotten", BROKEN)
    result = vlmkit_here("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(result.stdout)}
    assert result.returncode == 1
    assert checks["plugin"]["state"] == "broken" and "rotten" in checks["plugin"]["found"]
    assert checks["torch"]["state"] == "ok" and "threads" in checks["devices"]["found"]


def test_a_reader_that_leaves_early_is_no_error(toy, tmp_path, environment):
    command = f"{sys.executable} -m vlmkit ls strategies --json | head -c 1"
    result = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "[", "")


def test_a_bug_shows_its_traceback(vlmkit, toy, install_plugin):
    install_plugin(
        "buggy",
        "import click\nfrom vlmkit import hookimpl\n@hookimpl\ndef vlmkit_commands(cli):\n"
        "    cli.add_command(click.Command('fall', callback=lambda: 1 / 0))\n",
    )
    result = vlmkit("fall")
    assert result.returncode == 1 and "Traceback" in result.stderr and "ZeroDivisionError" in result.stderr


def test_version(vlmkit):
    assert vlmkit("--version").stdout == "vlmkit, version 0.1.0\n"
