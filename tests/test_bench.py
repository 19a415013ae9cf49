"""``vlmkit bench speed`` as a user meets it; how fast is for its reports."""

from __future__ import annotations

import json
import subprocess
import sys

import PIL.Image
import pytest

from vlmkit.bench.ideal import ideal_tokens
from vlmkit.bench.machine import Machine
from vlmkit.cli.main import main
from vlmkit.cli.speed import cases_of
from vlmkit.engine import Exchange
from vlmkit.engine.models import build_backend
from vlmkit.registry import Builder, Chain, PluginHost
from vlmkit.testing.server import FakeServer, answered_by
from vlmkit.types import Ballot, Choose, Image, Label
from vlmkit_adapters.scripted import ScriptedBackend

QUICK = ("--images", "1", "--in-flight", "1", "--sample", "1", "--batch", "2", "--device", "cpu")
SIDES = {"generate", "generate_batched", "label_loop"}


def test_json_of_a_random_model(vlmkit_here):
    result = vlmkit_here(
        "bench", "speed", "random:qwen3-vl-1m", *QUICK, "--labels", "4,30", "--group-size", "10", "--json"
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert (
        found["model"] == "random:qwen3-vl-1m"
        and found["sample"] == found["block"] == 1
        and found["data"] == "glyphs:labels=1000"
    )
    cells = {(one["labels"], one["readout"]): one for one in found["results"]}
    assert cells.keys() == {(labels, readout) for labels in (4, 30) for readout in ("letter", "likelihood")}
    for (labels, readout), one in cells.items():
        assert one["strategy"] == f"dci:group_size=10,readout={readout}"
        assert one["questions_per_image"] == (1 if labels == 4 else 4)
        assert one["ratios"].keys() == SIDES and all(ratio > 0 for ratio in one["ratios"].values())
        assert one["images_per_second"].keys() == SIDES | {"vlmkit"}
        assert 0 < one["tokens"]["ideal"] <= one["tokens"]["forwarded"] <= 1.1 * one["tokens"]["ideal"]
        dense, seconds = one["dense"], one["seconds_per_image"]["vlmkit"]
        ideal = dense["vision_seconds"] + one["tokens"]["ideal"] * dense["token_seconds"]
        assert dense["cost_over_ideal"] == pytest.approx(seconds / ideal)
        assert 0 < one["mfu"] < 1 and 0 < one["host_share"] < 1
        assert one["peak_memory_bytes"] > 2**20
        assert one["doubling"] is None
    for labels in (4, 30):
        assert cells[labels, "letter"]["flops_per_image"] != cells[labels, "likelihood"]["flops_per_image"]


def test_table_of_the_embedded_model(vlmkit_here):
    result = vlmkit_here("bench", "speed", "tiny", *QUICK, "--labels", "5", "--readout", "likelihood")
    assert result.returncode == 0, result.stderr
    for wanted in ("5 labels", "groups of 20", "likelihood", "times as fast as generate", "ideal trie", "GFLOP/s"):
        assert wanted in result.stdout
    assert "opening tiny" in result.stderr


def test_a_turn_may_be_longer_than_what_is_in_flight(vlmkit_here, monkeypatch):
    turns = []
    monkeypatch.setattr(Machine, "peak_flops", lambda _: turns.append(1) or 1e12)
    asked = ("--labels", "5", "--readout", "letter", "--images", "3", "--block", "2")
    result = vlmkit_here("bench", "speed", "random:qwen3-vl-1m", *QUICK, *asked)
    assert result.returncode == 0, result.stderr
    assert len(turns) == 2 and "in each block of 2 images" in result.stdout


def test_doubled_labels_and_a_plot(vlmkit_here, tmp_path):
    data = "glyphs:labels=1200,per_image=2,images=2"
    arguments = (
        "--data",
        data,
        "--labels",
        "200,400",
        "--readout",
        "letter",
        "--sample",
        "0",
        "--plot",
        "plot.svg",
        "--json",
    )
    result = vlmkit_here("bench", "speed", "random:qwen3-vl-1m", *QUICK, *arguments)
    assert result.returncode == 0, result.stderr
    half, whole = json.loads(result.stdout)["results"]
    seconds = [one["seconds_per_image"]["vlmkit"] for one in (half, whole)]
    assert whole["ratios"] == {} and whole["dense"]["cost_over_ideal"] > 0
    assert half["doubling"] is None and whole["doubling"] == pytest.approx(seconds[1] / seconds[0])
    assert whole["questions_per_image"] > 1.9 * half["questions_per_image"]
    assert "<svg" in (tmp_path / "plot.svg").read_text(encoding="utf-8")


def test_ones_own_pictures_flat_on_an_adapter_that_tells_less(vlmkit_here):
    assert vlmkit_here("glyphs", "draw", "drawn", "--labels", "3", "--images", "3").returncode == 0
    result = vlmkit_here("bench", "speed", "idefics3", *QUICK, "--data", "drawn", "--strategy", "flat", "--json")
    assert result.returncode == 0, result.stderr
    (one,) = json.loads(result.stdout)["results"]
    assert (one["labels"], one["group_size"], one["readout"]) == (3, None, "likelihood")
    assert one["strategy"] == "flat:readout=likelihood" and one["questions_per_image"] == 1
    assert one["ratios"].keys() == SIDES and one["tokens"]["forwarded"] > 0
    assert one["dense"] is one["mfu"] is one["host_share"] is one["tokens"]["ideal"] is None


def test_data_without_labels_is_refused(vlmkit_here, tmp_path):
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "alone.png")
    result = vlmkit_here("bench", "speed", "--data", "alone.png", "--images", "1")
    assert result.returncode == 2 and "no two labels" in result.stderr


def test_a_server_is_timed_with_what_its_bills_say(vlmkit_here):
    arguments = ("--labels", "30", "--readout", "text", "--images", "2", "--json")
    with FakeServer(answer=answered_by(ScriptedBackend())) as server:
        result = vlmkit_here("bench", "speed", f"openai:model=fake,base_url={server.base_url}", *arguments)
    assert result.returncode == 0, result.stderr
    (one,) = json.loads(result.stdout)["results"]
    assert one["questions_per_image"] >= 3 and one["images_per_second"]["vlmkit"] > 0
    assert one["ratios"] == {} and one["forwards_per_image"] is one["peak_memory_bytes"] is None


def test_what_has_no_checkpoint_is_timed_alone(vlmkit_here):
    arguments = ("--labels", "5", "--readout", "text", "--images", "2")
    result = vlmkit_here("bench", "speed", "scripted", *arguments)
    assert result.returncode == 0, result.stderr
    rows = {line[:40].strip(): line[40:].split() for line in result.stdout.splitlines()}
    assert rows["questions an image"] == ["1.0"]
    assert rows["times as fast as generate"] == rows["share of peak FLOP/s"] == rows["peak memory, GiB"] == ["-"]
    assert float(rows["vlmkit, images/s"][0]) > 0


@pytest.mark.parametrize(
    ("strategy", "options", "specs"),
    [
        ("dci", {}, ["dci:group_size=20,readout=letter", "dci:group_size=20,readout=likelihood"]),
        ("dci:group_size=5,readout=letter", {}, ["dci:group_size=5,readout=letter"]),
        ("dci:group_size=5", {"group_sizes": [7]}, [f"dci:group_size=7,readout={r}" for r in ("letter", "likelihood")]),
        ("vote", {}, ["vote+flat:readout=likelihood"]),
        ("flat", {"readouts": ["text"]}, ["flat:readout=text"]),
    ],
)
def test_a_strategy_gets_what_it_takes(strategy, options, specs):
    builder = Builder(PluginHost.load().registry)
    cases = cases_of(builder, Chain.parse(strategy), [4], **{"group_sizes": None, "readouts": None, **options})
    assert [case.strategy for case in cases] == specs


def test_the_ideal_trie_of_several_questions(tmp_path):
    family = build_backend("tiny", Builder(PluginHost.load().registry)).load()
    picture = Image(PIL.Image.new("RGB", (48, 48), "red"))
    names = [["red plain ring", "red plain star"], ["red plain star", "red plain moon"]]
    queries = [Choose((picture,), [Label(name) for name in group]) for group in names]
    ballots = [Ballot.scored(["a"], [0.0], prompt=family.chat(query.text, 1)) for query in queries]
    exchanges = [Exchange(0, query, ballot) for query, ballot in zip(queries, ballots, strict=True)]
    sequences = set()
    for exchange, group in zip(exchanges, names, strict=True):
        (prompt,) = family.tokenize([exchange.answer.prompt])
        prompt = family.expand(prompt, [family.picture(picture, True)])
        sequences |= {(*prompt, *answer[:-1]) for answer in family.tokenize(group)}
    nodes = {sequence[:length] for sequence in sequences for length in range(1, len(sequence) + 1)}
    assert ideal_tokens(exchanges, family) == ideal_tokens(exchanges * 2, family) == len(nodes)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["random:qwen3-vl-100b"], "did you mean qwen3-vl-100m"),
        (["scripted"], "adapter scripted has no option device"),
        (["tiny", "--labels", "1"], "1 is not in the range"),
        (["tiny", "--labels", "ten"], "'ten' is not a valid integer"),
        (["tiny", "--labels", "5000"], "the data has 1,000 labels, not 5,000"),
        (["tiny", "--data", "glyphs:labels=5000"], "per_image=2 for more"),
        (["tiny", "--data", "nowhere"], "no file or folder nowhere"),
        (["tiny", "--images", "50"], "the data has 50 pictures, and 54 are needed: 4 warm up"),
        (["tiny", "--images", "50"], "give --images 46 or more data"),
        (["tiny", "--readout", "words"], "'words' is not one of"),
        (["tiny", "--plot", "plot.xls"], "no plot can be written as plot.xls"),
        (["tiny", "--plot", "nowhere/plot.png"], "there is no folder nowhere"),
        (["tiny", "--strategy", "dice"], "unknown strategy 'dice'"),
        (["tiny", "--strategy", "flat", "--group-size", "5"], "option 'group-size'"),
        (["tiny", "--strategy", "flat", "--readout", "letter"], "26 letters"),
        (["tiny", "--group-size", "50"], "26 letters"),
        (["tiny", "--dtype", "int8"], "unknown dtype 'int8'"),
    ],
)
def test_a_wrong_request_is_one_line(capsys, arguments, said):
    with pytest.raises(SystemExit) as end:
        main(["bench", "speed", "--device", "cpu", *arguments])
    assert end.value.code == 2
    shown = capsys.readouterr()
    *notes, error = shown.err.splitlines()
    assert error.startswith("error: ") and said in error
    assert all(line.startswith(("opening ", "100 labels, ")) for line in notes)
    assert shown.out == ""


def test_a_plot_without_matplotlib_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SystemExit):
        main(["bench", "speed", "--plot", "plot.png"])
    assert capsys.readouterr().err.count("pip install 'vlmkit[plot]'") == 1


def test_help_imports_no_torch(environment):
    script = (
        "import sys\nfrom vlmkit.cli.main import main\n"
        "try:\n    main(['bench', 'speed', '--help'])\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        "assert not {'torch', 'transformers', 'matplotlib'} & sys.modules.keys()"
    )
    result = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
