"""The bottleneck report: the same figures side by side, whoever computed them."""

from __future__ import annotations

import json
import sys

import PIL.Image
import pytest


def figure(value, depth=None, **more):
    found = {"value": value, "low": max(0.0, value - 0.1), "high": min(1.0, value + 0.1), "n": 50, **more}
    return found if depth is None else {"depth": depth, **found}


def figures(hca, *levels):
    levels = [figure(value, depth) for depth, value in enumerate(levels, start=1)]
    return {"hca": figure(hca), "leaf_accuracy": figure(levels[-1]["value"]), "level_accuracy": levels}


@pytest.fixture
def files(tmp_path):
    probe = {
        "kind": "probe",
        "over": "image",
        "shuffled": False,
        "levels": [{"depth": 1, "rank": "order"}, {"depth": 2, "rank": "species"}],
        "sites": {"encoder": figures(0.9, 0.95, 0.92), "layer:-1": figures(0.8, 0.85, 0.82)},
    }
    run = tmp_path / "run"
    run.mkdir()
    contents = {
        tmp_path / "probe.json": probe,
        tmp_path / "text.json": {"status": "success", "metrics": figures(0.55, 0.6)},
        run / "results.json": {"metrics": figures(0.4, 0.7, 0.45)},
        tmp_path / "other.json": {"accuracy": 1.0},
    }
    for path, content in contents.items():
        path.write_text(json.dumps(content))
    return ["--probe", "probe.json", "--text", "text.json", "--image", "run"]


def test_sides_stand_level_by_level(vlmkit_here, files):
    report = json.loads(vlmkit_here("hierarchy", "bottleneck", *files, "--json").stdout)
    assert report["sides"] == ["vision probe encoder", "vision probe layer:-1", "text", "model"]
    assert list(report["rows"]) == ["order", "species", "HCA"]
    values = {name: [one and one["value"] for one in row] for name, row in report["rows"].items()}
    assert values == {
        "order": [0.95, 0.85, 0.6, 0.7],
        "species": [0.92, 0.82, None, 0.45],  # text names the species
        "HCA": [0.9, 0.8, 0.55, 0.4],
    }


def test_markdown_and_table_say_the_same(vlmkit_here, files):
    lines = vlmkit_here("hierarchy", "bottleneck", *files, "--site", "encoder", "--markdown").stdout.splitlines()
    assert lines[0] == "|  | vision probe encoder | text | model |"
    assert lines[3] == "| species | 92.0% (82.0% to 100.0%) | - | 45.0% (35.0% to 55.0%) |"
    assert lines[4].startswith("| HCA | 90.0% ")
    shown = vlmkit_here("hierarchy", "bottleneck", *files, "--site", "encoder").stdout
    assert "45.0% (35.0% to 55.0%)" in shown and "vision probe encoder" in shown


def test_report_is_drawn(vlmkit_here, files, tmp_path):
    done = vlmkit_here("hierarchy", "bottleneck", *files, "--plot", "report.png")
    assert done.returncode == 0 and "drawn in report.png" in done.stderr
    with PIL.Image.open(tmp_path / "report.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(2**16)}
    assert {(31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40)} <= colours  # a colour for each side


def test_runs_of_a_question_bank_are_read(vlmkit_here, files):
    assert vlmkit_here("hierarchy", "questions", "glyphs:labels=12,images=12", "--output", "q.jsonl").returncode == 0
    told = {}
    for mode in ("text", "image"):
        done = vlmkit_here(
            *("hierarchy", "eval", "q.jsonl", "--model", "scripted", "--mode", mode, "--output", mode, "--json")
        )
        told[mode] = json.loads(done.stdout)["metrics"]["hca"]["value"]
    done = vlmkit_here(
        *("hierarchy", "bottleneck", "--probe", "probe.json", "--text", "text", "--image", "image", "--json")
    )
    *_, text, model = json.loads(done.stdout)["rows"]["HCA"]
    assert (text["value"], model["value"]) == (told["text"], told["image"])
    done = vlmkit_here("hierarchy", "bottleneck", "--probe", "probe.json", "--text", "image")
    assert done.returncode == 2 and "image is an evaluation in image mode; give one in text mode" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--probe", "nowhere.json"], "there is no such file"),
        (["--probe", "text.json"], "holds no probe"),
        (["--probe", "probe.json", "--image", "other.json"], "holds no figures over paths"),
        (["--probe", "probe.json", "--site", "encodr"], "unknown site 'encodr'; did you mean encoder?"),
        (["--probe", "probe.json", "--plot", "report.xyz"], "cannot be drawn"),
        (["--probe", "probe.json", "--plot", "nowhere/report.png"], "cannot be written"),
        (["--text", "text.json"], "Missing option '--probe'"),
    ],
)
def test_what_cannot_be_reported_is_said_in_one_line(vlmkit_here, files, arguments, message):
    done = vlmkit_here("hierarchy", "bottleneck", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr and "Traceback" not in done.stderr


def test_missing_matplotlib_is_named_with_the_command_that_brings_it(vlmkit_here, files, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = vlmkit_here("hierarchy", "bottleneck", *files, "--plot", "report.png")
    assert done.returncode == 2 and "pip install 'vlmkit[plot]'" in done.stderr
