"""Plans, as a user makes them: what they foresee is what a run then reports."""

import json
import shutil

import pytest
from click.testing import CliRunner

from vlmkit.cli.main import cli, main
from vlmkit_adapters.tiny import CHECKPOINT

DATA = "glyphs:labels=60,images=6"
STRATEGIES = ("dci", "flat", "dci:group_size=7,readout=letter", "vote:permutations=3+dci:group_size=16")


@pytest.fixture(scope="module")
def vlmkit_once(tmp_path_factory):
    """Run vlmkit in a folder that all tests here share."""
    folder = tmp_path_factory.mktemp("plans")

    def run(command, *arguments):
        output = ("--output", str(folder / f"run-{len(list(folder.iterdir()))}")) if command == "run" else ()
        result = CliRunner().invoke(cli, [command, *arguments, *output], catch_exceptions=False)
        assert result.exit_code == 0, result.stderr
        return result

    return run


@pytest.fixture(scope="module")
def planned(vlmkit_once):
    """One plan for all strategies."""
    arguments = [part for strategy in STRATEGIES for part in ("--strategy", strategy)]
    plan = json.loads(vlmkit_once("plan", DATA, *arguments, "--json").stdout)
    return plan, {part["strategy"]: part for part in plan["strategies"]}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_run_reports_what_was_planned(strategy, planned, vlmkit_once):
    plan, parts = planned
    run = json.loads(vlmkit_once("run", DATA, "--strategy", strategy, "--json", "--quiet").stdout)["usage"]
    each, examples = parts[strategy]["per_example"], plan["examples"]
    assert round(each["queries"] * examples) == run["queries"] == parts[strategy]["run"]["queries"]
    assert round(each["forwards"] * examples) == run["forwards"]
    assert round(each["images_encoded"] * examples) == run["images_encoded"]
    # Labels that go on to later rounds differ, and with them their tokens.
    assert each["tokens"]["trunk"] * examples == pytest.approx(run["tokens"]["trunk"], rel=0.02)
    assert each["tokens"]["branch"] * examples == pytest.approx(run["tokens"]["branch"], rel=0.02)
    assert each["tokens"]["generated_at_most"] == run["tokens"]["generated"] == 0


def test_replies_are_planned_at_their_longest(vlmkit_once):
    strategy = "dci:readout=text"
    part = json.loads(vlmkit_once("plan", DATA, "--strategy", strategy, "--json").stdout)["strategies"][0]
    run = json.loads(vlmkit_once("run", DATA, "--strategy", strategy, "--json", "--quiet").stdout)["usage"]
    generated = part["per_example"]["tokens"]["generated_at_most"]
    # The first token of a reply comes out of the forward of its prompt.
    assert generated == part["per_example"]["queries"] * (64 - 1)
    assert 0 < run["tokens"]["generated"] < generated * 6
    assert run["forwards"] < part["run"]["forwards"]


def test_dry_run_is_the_plan_of_a_run(vlmkit_once, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = (DATA, "--strategy", "dci:group_size=9", "--limit", "4", "--seed", "3", "--json")
    dry = json.loads(vlmkit_once("run", *arguments, "--dry-run", "--quiet").stdout)
    assert dry == json.loads(vlmkit_once("plan", *arguments).stdout)
    assert dry["examples"] == 4
    assert list(tmp_path.iterdir()) == []


def test_no_weights_are_needed(vlmkit_once, planned, tmp_path):
    for path in CHECKPOINT.iterdir():
        if path.suffix != ".safetensors":
            shutil.copy(path, tmp_path)
    plan = json.loads(vlmkit_once("plan", DATA, "--model", str(tmp_path), "--dtype", "bfloat16", "--json").stdout)
    with_weights = planned[1]["dci"]
    halved = with_weights["trunk_bytes_per_example"] / 2
    assert plan["strategies"][0] == {**with_weights, "trunk_bytes_per_example": halved}
    header = (CHECKPOINT / "model.safetensors").stat().st_size
    assert plan["weights"]["bytes"] == 2 * plan["weights"]["parameters"] == pytest.approx(header / 2, rel=0.01)


@pytest.mark.parametrize("written", ['"flat"', '["flat", "dci"]'])
def test_a_config_file_names_one_strategy_or_several(written, vlmkit_once, tmp_path):
    (tmp_path / "plan.toml").write_text(f'data = "{DATA}"\nstrategy = {written}\nmodel = "scripted"\n')
    plan = json.loads(vlmkit_once("plan", "--config", str(tmp_path / "plan.toml"), "--json").stdout)
    assert plan["data"] == DATA
    assert [part["strategy"] for part in plan["strategies"]] == ["flat", "dci"][: 1 + written.count(",")]


def test_some_of_many_examples_stand_for_all(vlmkit_once):
    many = json.loads(vlmkit_once("plan", "glyphs:labels=60,images=100", "--sample", "5", "--json").stdout)
    assert (many["examples"], many["driven"]) == (100, 5)
    assert many["strategies"][0]["run"]["queries"] == 100 * many["strategies"][0]["per_example"]["queries"]


def test_a_rate_makes_seconds(vlmkit_once):
    given = json.loads(vlmkit_once("plan", DATA, "--tokens-per-second", "100", "--json").stdout)["strategies"][0]
    assert given["rate"] == "given"
    assert given["run"]["seconds"] == pytest.approx(given["run"]["tokens"] / 100)
    measured = json.loads(vlmkit_once("plan", DATA, "--measure", "--json").stdout)["strategies"][0]
    assert measured["rate"] == "measured"
    assert measured["run"]["seconds"] == pytest.approx(measured["run"]["tokens"] / measured["tokens_per_second"])


def test_group_sizes_are_compared_by_three_costs(vlmkit_once):
    arguments = ("--strategy", "vote:permutations=2+dci:group_size=5,grouping=list", "--group-sizes", "2..200")
    sizes = json.loads(vlmkit_once("plan", DATA, *arguments, "--json").stdout)["group_sizes"]
    assert sizes["strategy"] == "vote:permutations=2+dci:grouping=list"
    assert [one["group_size"] for one in sizes["sizes"]][:6] == [2, 3, 4, 5, 6, 8]
    assert sizes["sizes"][-1]["group_size"] == 60  # one question holds all labels
    assert sizes["sizes"][-1]["queries"] == 2
    for cost, of in (
        ("proxy", lambda one: one["proxy"]),
        ("tokens", lambda one: sum(one["tokens"].values())),
        ("flops", lambda one: one["flops"]["total"]),
    ):
        assert sizes["lowest"][cost] == min(sizes["sizes"], key=of)["group_size"]
    # A question about all labels holds just l0 + a * N tokens.
    whole = json.loads(vlmkit_once("plan", DATA, "--strategy", "flat", "--json").stdout)["strategies"][0]
    trunk = whole["per_example"]["tokens"]["trunk"]
    assert sizes["fixed_tokens"] + 60 * sizes["label_tokens"] == pytest.approx(trunk + 1)


def test_tables_show_strategies_side_by_side(vlmkit_once):
    shown = vlmkit_once("plan", DATA, "--strategy", "dci", "--strategy", "flat", "--group-sizes", "10..12", "--quiet")
    assert shown.stderr == ""
    for word in ("dci", "flat", "branch tokens", "text FLOPs", "weights", "lowest W proxy"):
        assert word in shown.stdout


@pytest.mark.parametrize("model", ["scripted", "openai:base_url=http://127.0.0.1:9/v1,model=nobody"])
def test_where_tokens_are_not_known_questions_are_counted(model, vlmkit_once):
    arguments = ("--model", model, "--strategy", "dci:readout=letter", "--group-sizes", "5..9")
    plan = json.loads(vlmkit_once("plan", DATA, *arguments, "--json").stdout)
    (part,) = plan["strategies"]
    assert (part["per_example"]["queries"], part["per_example"]["rounds"]) == (4, 2)
    assert part["per_example"]["tokens"] is None and part["per_example"]["flops"] is None
    assert plan["weights"] is None and "no token trees" in plan["notes"][0]
    assert set(plan["group_sizes"]["lowest"].values()) == {None}


def test_examples_that_fail_are_counted_apart(vlmkit_once, tmp_path):
    vlmkit_once("glyphs", "draw", str(tmp_path / "drawn"), "--labels", "4", "--images", "3")
    next((tmp_path / "drawn").glob("*/*.png")).write_bytes(b"no picture")
    (part,) = json.loads(vlmkit_once("plan", str(tmp_path / "drawn"), "--json").stdout)["strategies"]
    assert part["failed"] == 1
    assert part["per_example"]["queries"] == 1


WRONG = [
    (["--strategy", "dcy"], "did you mean dci"),
    (["--model", "tinny"], "no adapter and no directory"),
    (["--group-sizes", "1..9"], "no interval of group sizes"),
    (["--group-sizes", "9..5"], "no interval of group sizes"),
    (["--strategy", "flat", "--group-sizes", "2..9"], "no strategy here has a group size"),
    (["--tokens-per-second", "0"], "0"),
    (["--tokens-per-second", "9", "--measure"], "exclude each other"),
    (["--model", "scripted", "--measure"], "leave --measure out"),
    (["--model", "openai:base_url=http://127.0.0.1:9/v1,model=x"], "needs likelihood"),
    (["--labels", "missing.txt"], "missing.txt"),
    (["--sample", "0"], "--sample"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=[" ".join(arguments)[:40] for arguments, _ in WRONG])
def test_wrong_requests_are_one_line(arguments, said, capsys):
    with pytest.raises(SystemExit) as end:
        main(["plan", DATA, *arguments, "--quiet"])
    shown = capsys.readouterr()
    assert end.value.code == 2
    assert shown.out == ""
    assert shown.err.startswith("error: ") and shown.err.count("\n") == 1 and said in shown.err
