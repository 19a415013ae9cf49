"""``vlmkit compare`` on run directories: what it shows, what it refuses, and abstaining from predictions."""

from __future__ import annotations

import json
import sys

import pytest
from attrs import evolve

from vlmkit import Tokens, Usage
from vlmkit.comparison import Comparison
from vlmkit.runs import Record, Tally, to_json
from vlmkit.runs.record import Failure, RoundRecord

FINGERPRINT = {
    "model": {"name": "m"},
    "strategy": {"type": "DCI", "group_size": 20},
    "data": "d",
    "labels": "sha",
    "seed": 0,
}


def record(name, right, *, target="cat", confidence=None, pictures=None, text=None):
    """Return a record; ``right`` is None for a failed example."""
    label = None if right is None or text else target if right else "dog"
    return Record(
        id=name,
        label=label,
        target=target,
        correct=None if text else right,
        ranking=() if label is None else ((label, -0.1), ("owl", -3.0)),
        trace=() if right is None else (RoundRecord(9, 4, 1, 0, 1, True),),
        text=text,
        usage=Usage(queries=4, forwards=2.0, tokens=Tokens(10, 5, 0), seconds=0.5),
        error=Failure("ImageError", "broken") if right is None else None,
        confidence=confidence,
        pictures=pictures,
    )


@pytest.fixture
def run(tmp_path):
    """Write a run directory: ``run(name, records, status=..., **fingerprint)``; return its path."""

    def write(name, records, *, status="success", **changed):
        path = tmp_path / name
        path.mkdir()
        manifest = {"fingerprint": {**FINGERPRINT, **changed}, "labels": {"number": 2}}
        (path / "manifest.json").write_text(json.dumps(manifest))
        (path / "predictions.jsonl").write_text("".join(json.dumps(to_json(one)) + "\n" for one in records))
        if status is not None:
            (path / "results.json").write_text(json.dumps({"status": status}))
        return path

    return write


def records(answers, **more):
    return [record(f"{index:03d}", right, **more) for index, right in enumerate(answers)]


def compared(vlmkit_here, *arguments):
    done = vlmkit_here("compare", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refused(vlmkit_here, *arguments):
    done = vlmkit_here("compare", *arguments)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.splitlines()[-1].startswith("error: ")
    return done.stderr


def test_figures_of_known_runs(vlmkit_here, run):
    a = run("a", records([True] * 6 + [False] * 4))
    b = run("b", records([True] * 5 + [False] + [True] * 4), seed=1, strategy={"type": "DCI", "group_size": 50})
    found = compared(vlmkit_here, a, b)
    assert found["differences"] == {"strategy.group_size": [20, 50], "seed": [0, 1]}
    first, second = found["runs"]
    assert first["shares"]["accuracy"]["value"] == 0.6 and second["shares"]["accuracy"]["value"] == 0.9
    assert first["shares"]["none_rate"]["value"] == 0.25 and first["shares"]["invalid_rate"]["value"] == 0
    assert first["cost"] == {"queries": 4, "forwards": 2, "tokens": 15, "seconds": 0.5}
    assert first["confidences"] is None
    (pair,) = found["pairs"]
    one = pair["compared"]
    assert (one["both"], one["only_a"], one["only_b"], one["neither"]) == (5, 1, 4, 0)
    assert one["difference"]["value"] == pytest.approx(0.3) and one["odds_ratio"] == 4
    # 2 * (1 + 5) / 32, less 5 / 32.
    assert one["p"] == pair["p_holm"] == pytest.approx(7 / 32)


def test_tables_and_the_page_say_the_same(vlmkit_here, run, tmp_path):
    a = run("a", records([True, True, False], confidence=0.9))
    b = run("b", records([True, False, False], confidence=0.9), prompt="p|q", strategy={"type": "some.module.Flat"})
    done = vlmkit_here("compare", a, b, "--markdown", tmp_path / "page.md")
    assert done.returncode == 0
    page = (tmp_path / "page.md").read_text()
    for wanted in ("1 / 1 / 0 / 1", "-33.3", "calibration error (ECE)", "Holm: adjusted for one pair", " Flat "):
        assert wanted in done.stdout and wanted in page
    assert r"p\|q" in page
    assert "cannot be written" in refused(vlmkit_here, a, b, "--markdown", tmp_path / "no" / "page.md")


def test_the_page_names_a_directory_that_is_not_utf_8(vlmkit_here, run, tmp_path):
    odd = run("b\udcff", records([True]))
    assert vlmkit_here("compare", run("a", records([True])), odd, "--markdown", tmp_path / "page.md").returncode == 0
    assert r"b\udcff" in (tmp_path / "page.md").read_text()


def test_failed_examples_count_for_neither_and_are_said(vlmkit_here, run):
    a = run("a", records([True, None, False, True]))
    b = run("b", records([True, True, None, False]))
    (pair,) = compared(vlmkit_here, a, b)["pairs"]
    assert pair["left_out"] == 2 and pair["compared"]["n"] == 2 and pair["compared"]["only_a"] == 1
    assert "2 examples are left out" in vlmkit_here("compare", a, b).stdout


def test_every_two_are_compared_unless_there_is_a_baseline(vlmkit_here, run):
    a, b, c = (run(f"run{right}", records([index < right for index in range(20)])) for right in (5, 12, 20))
    found = compared(vlmkit_here, a, b, c)
    # 7, 15 and 8 examples differ, all of them one way.
    assert [pair["compared"]["p"] for pair in found["pairs"]] == pytest.approx([2**-7, 2**-15, 2**-8])
    assert [pair["p_holm"] for pair in found["pairs"]] == pytest.approx([2 * 2**-8, 3 * 2**-15, 2 * 2**-8])
    against = compared(vlmkit_here, a, b, c, "--baseline", b)
    assert [(pair["a"], pair["b"]) for pair in against["pairs"]] == [(str(b), str(a)), (str(b), str(c))]


def test_runs_on_other_examples_are_refused_unless_the_common_ones_are_asked_for(vlmkit_here, run):
    whole = run("whole", records([True, False, True, False]), data="d:images=4")
    part = run("part", records([False, True]), status=None, data="d:images=2")
    said = refused(vlmkit_here, whole, part)
    assert "lacks 2 examples ('002', '003')" in said and "which is unfinished" in said and "--common" in said
    assert "the data is d:images=4 and d:images=2" in said
    found = compared(vlmkit_here, whole, part, "--common")
    assert [one["done"] for one in found["runs"]] == [2, 2] and found["pairs"][0]["compared"]["n"] == 2
    assert "is unfinished" in vlmkit_here("compare", whole, part, "--common").stderr
    other = run("other", [evolve(one, id=f"x{one.id}") for one in records([True])], data="e")
    assert "share no example" in refused(vlmkit_here, whole, other, "--common")


def test_other_labels_or_targets_are_refused_whatever_is_common(vlmkit_here, run):
    a = run("a", records([True, False]))
    assert "the label spaces differ (2 and 2 labels)" in refused(
        vlmkit_here, a, run("b", records([True, False]), labels="x"), "--common"
    )
    said = refused(vlmkit_here, a, run("c", records([True, False], target="cow")), "--common")
    assert (
        "2 targets differ ('000': 'cat' and 'cow', '001': 'cat' and 'cow')" in said and "same data and labels" in said
    )


def test_what_cannot_be_judged_is_refused(vlmkit_here, run, tmp_path):
    a = run("a", records([True]))
    assert "free questions" in refused(vlmkit_here, a, run("b", records([True], text="a cat")))
    assert "no prediction whose right label is known" in refused(vlmkit_here, a, run("c", records([None])))
    assert "holds no run" in refused(vlmkit_here, a, tmp_path)
    assert "two different" in refused(vlmkit_here, a, a)
    failed = run("d", [*records([None]), record("001", True)])
    assert "no example has a prediction both" in refused(
        vlmkit_here, run("e", [record("000", True), record("001", None)]), failed
    )


def test_without_scipy_one_line_says_what_to_install(vlmkit_here, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    assert "pip install 'vlmkit[stats]'" in refused(vlmkit_here, run("a", records([True])), run("b", records([False])))


def test_examples_of_one_picture_are_one_cluster(run):
    # Ten pictures with four examples each; B is right on all of six pictures, A on all of two others.
    def answers(known):
        return [
            record(f"{picture}-{index}", picture in known, pictures=str(picture))
            for picture in range(10)
            for index in range(4)
        ]

    found = Comparison.read([run("a", answers({0, 1})), run("b", answers({2, 3, 4, 5, 6, 7}))])
    (pair,) = found.pairs
    assert pair.compared.clusters == found.runs[0].clusters == 10 and pair.compared.n == 40
    # Eight pictures, two to six: 2 * (1 + 8) / 256 + 28 / 256.
    assert pair.compared.p == pytest.approx(46 / 256)
    accuracy = found.runs[0].shares["accuracy"]
    assert accuracy.high - accuracy.low > 0.4


def test_a_threshold_for_few_wrong_ones_is_found(vlmkit_here, run):
    scored = [record(f"{index:03d}", index >= 20, confidence=index / 100) for index in range(100)]
    found = compared(
        vlmkit_here, run("a", scored), run("b", [*scored[:50], *(evolve(one, confidence=None) for one in scored[50:])])
    )
    first, second = (one["confidences"] for one in found["runs"])
    at = {one["risk"]: one["threshold"] for one in first["operating"]}
    assert at[0.01]["at"] == 0.2 and at[0.01]["coverage"] == 0.8 and at[0.01]["accuracy"]["value"] == 1
    assert at[0.1]["at"] == pytest.approx(0.12)
    assert (first["unscored"], second["unscored"], second["calibration"]["n"]) == (0, 50, 50)


def test_abstaining_counts_and_loses_nothing():
    scored = [
        record("a", True, confidence=0.9),
        record("b", False, confidence=0.2),
        record("c", True, confidence=0.4),
        record("d", False),
        evolve(record("e", False), label=None),
    ]
    metrics = Tally.of(scored, abstain_below=0.5).metrics
    assert metrics["accuracy"]["value"] == 0.4
    assert (metrics["coverage"]["value"], metrics["coverage"]["n"]) == (0.4, 5)
    assert (metrics["selective_accuracy"]["value"], metrics["selective_accuracy"]["n"]) == (0.5, 2)
    assert Tally.of(scored).metrics["coverage"]["value"] == 0.8
    assert scored[0].kept(0.9) and not scored[0].kept(0.91)


def test_the_same_run_is_summed_up_again_with_another_threshold(vlmkit_here, tmp_path):
    command = ("run", "colours:images=4", "--model", "colours", "--strategy", "halves", "--output", "run")
    plain = vlmkit_here(*command)
    assert "coverage" not in plain.stdout
    predictions = tmp_path / "run" / "predictions.jsonl"
    lines = [json.loads(line) for line in predictions.read_text().splitlines()]
    assert all(line["confidence"] > 0.9 and len(line["pictures"]) == 16 for line in lines)
    lines[0]["confidence"] = 0.2
    predictions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    results = json.loads(vlmkit_here(*command, "--abstain-below", "0.5", "--json").stdout)
    assert results["abstain_below"] == 0.5 and results["metrics"]["coverage"]["value"] == 0.75
    assert results["metrics"]["selective_accuracy"]["n"] == 3 and results["metrics"]["accuracy"]["n"] == 4
    assert "selective accuracy" in vlmkit_here(*command, "--abstain-below", "0.1").stdout
    assert vlmkit_here(*command, "--abstain-below", "2").returncode == 2


def test_labels_abstained_from_are_shown_as_such_and_no_confidence_is_said(vlmkit_here, tmp_path):
    command = ("run", "colours:images=4,targets=false", "--model", "colours", "--strategy", "halves", "--output", "run")
    vlmkit_here(*command)
    predictions = tmp_path / "run" / "predictions.jsonl"
    lines = [json.loads(line) for line in predictions.read_text().splitlines()]
    for one, other in ((0.2, "(abstained) red"), (None, "keeps every prediction")):
        predictions.write_text("".join(json.dumps({**line, "confidence": one}) + "\n" for line in lines))
        done = vlmkit_here(*command, "--abstain-below", "0.5")
        assert other in done.stdout + done.stderr


@pytest.mark.slow
def test_two_seeds_of_one_strategy_hardly_differ_and_another_strategy_does(vlmkit_here, tmp_path):
    for name, strategy, seed in (("one", "dci", 0), ("two", "dci", 1), ("flat", "flat", 0)):
        data = "glyphs:labels=1000,images=20"
        done = vlmkit_here("run", data, "--strategy", strategy, "--seed", seed, "--output", name, "--quiet")
        assert done.returncode == 0, done.stderr
    found = compared(vlmkit_here, "one", "two", "flat", "--baseline", "one")
    assert found["differences"]["seed"] == [0, 1, 0]
    same, other = found["pairs"]
    assert same["p_holm"] > 0.05 > other["p_holm"]
    assert other["compared"]["difference"]["value"] < -0.5 and other["compared"]["needed"] < 20
    assert all(one["confidences"]["calibration"]["n"] == 20 for one in found["runs"])
