import json
import sys

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmkit.errors import DataError
from vlmkit.measures import bootstrap
from vlmkit_mimic.benchmark import Benchmark, Item, Settings
from vlmkit_mimic.build import Maker
from vlmkit_mimic.cells import Sweeps
from vlmkit_mimic.dataset import Mimic
from vlmkit_mimic.figures import Report
from vlmkit_mimic.scorers import Score


def item(task, answer, **factors):
    return Item(f"{task}-x/0@d", task, ("a",), "?", ", ".join(answer), answer, {"images": 2, **factors})


def test_figures_by_hand():
    scored = [
        (item("listing", {"cat": 1, "dog": 1}, spread=1), Score(True, 2, 2, 2)),
        (item("listing", {"cat": 1}, spread=2), Score(False, 1, 3, 1)),
        (item("listing", {"cat": 1}, spread=2), Score(False, 0, 0, 1)),
        (item("common", {"cat": 1}, spread=2), Score.single(True)),
        (item("common", {"dog": 1}, spread=2), Score.single(False)),
    ]
    report = Report.of(scored, ["spread", "images"])
    listing, common = report.tasks["listing"], report.tasks["common"]
    assert listing.f1_micro.value == pytest.approx(2 * 3 / (5 + 4))
    assert listing.f1_macro.value == pytest.approx((1 + 0.5 + 0) / 3)
    assert listing.accuracy.value == pytest.approx(1 / 3) and listing.constant == pytest.approx(2 / 3)
    assert common.main.value == 0.5 and common.f1_micro is None
    assert report.overall.accuracy_micro.value == pytest.approx(2 / 5)
    assert report.overall.accuracy_macro.value == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert report.overall.mean.value == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert set(report.factors["spread"]) == {"listing"} and report.factors["images"] == {}
    assert {value: one.n for value, one in report.factors["spread"]["listing"].items()} == {"1": 1, "2": 2}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 3)), min_size=1, max_size=30))
def test_intervals_hold_the_figure_and_come_again(rows):
    values = np.array([(min(hits, named, wanted), named, wanted) for hits, named, wanted in rows], dtype=float)

    def f1(sums):
        return 2 * sums[0][..., 0] / (sums[0][..., 1] + sums[0][..., 2])

    interval = bootstrap([values], f1)
    assert 0 <= interval.low <= interval.high <= 1 and interval.n == len(rows)
    assert interval == bootstrap([values], f1)
    if len(set(rows)) == 1:
        assert interval.low - 1e-9 <= interval.value <= interval.high + 1e-9


def test_a_bootstrap_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        interval = bootstrap([(rng.random((100, 1)) < 0.4).astype(float)], lambda sums: sums[0][..., 0] / 100)
        held += interval.low <= 0.4 <= interval.high
    assert 180 <= held <= 198


def test_ten_wrong_answers_do_not_prove_the_next_one_wrong():
    interval = bootstrap([np.zeros((10, 1))], lambda sums: sums[0][..., 0] / 10)
    assert interval.low == interval.value == 0 and interval.high == pytest.approx(0.278, abs=1e-3)


@pytest.fixture(scope="session")
def benchmark(tmp_path_factory):
    path = tmp_path_factory.mktemp("mimic") / "small.jsonl"
    sweeps = Sweeps(images=(2, 3), totals=(2, 3))
    settings = Settings(sweeps, items=3)
    Maker.of("glyphs:pictures=200", settings, output=path).write(path)
    return Benchmark.read(path)


def predictions(path, answers):
    path.write_text("".join(json.dumps({"id": one, "answer": answer}) + "\n" for one, answer in answers.items()))
    return path


def evaluated(vlmkit_here, benchmark, *arguments):
    done = vlmkit_here("mimic", "eval", benchmark.path, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_right_answers_score_full_marks_by_both_scorers(vlmkit_here, benchmark, tmp_path):
    right = predictions(tmp_path / "right.jsonl", {one.id: one.gt for one in benchmark.items})
    wrong = predictions(tmp_path / "wrong.jsonl", {one.id: "penguin" for one in benchmark.items})
    both = ["--scorer", "strict", "--scorer", "published"]
    report = evaluated(vlmkit_here, benchmark, "--predictions", right, "--predictions", wrong, *both)
    assert list(report["figures"]) == ["right (strict)", "right (published)", "wrong (strict)", "wrong (published)"]
    for name, figures in report["figures"].items():
        expected = 1 if "right" in name else 0
        assert figures["overall"]["mean"]["value"] == figures["overall"]["accuracy_micro"]["value"] == expected
        assert set(figures["tasks"]) == {"counting", "listing", "common", "odd-one"}
        assert figures["tasks"]["listing"]["f1_micro"]["value"] == expected
    assert set(report["figures"]["right (strict)"]["factors"]["spread"]["counting"]) == {"1", "2"}


def test_missing_and_unknown_ids_are_reported_and_left_out(vlmkit_here, benchmark, tmp_path):
    ids = [one.id for one in benchmark.items]
    some = predictions(tmp_path / "some.jsonl", {**{one.id: one.gt for one in benchmark.items[1:]}, "x": "cat"})
    done = vlmkit_here("mimic", "eval", benchmark.path, "--predictions", some)
    assert done.returncode == 0
    assert f"warning: some: 1 items without an answer, left out; the first: {ids[0]}" in done.stderr
    assert "warning: some: 1 answers to unknown ids, left out; the first: x" in done.stderr
    report = evaluated(vlmkit_here, benchmark, "--predictions", some)
    assert report["answers"]["some"] == {"answered": len(ids) - 1, "missing": [ids[0]], "unknown": ["x"]}
    assert report["figures"]["some"]["overall"]["n"] == len(ids) - 1
    assert report["figures"]["some"]["overall"]["accuracy_micro"]["value"] == 1


def test_a_model_is_asked_and_the_same_command_goes_on(vlmkit_here, benchmark, tmp_path):
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({one.id: one.gt for one in benchmark.items}))
    model = ["--model", f"scripted:accuracy=1,truth={truth}", "--output", "runs"]
    first = evaluated(vlmkit_here, benchmark, *model, "--limit", "5")
    assert first["answers"]["flat"]["answered"] == 5 and first["figures"]["flat"]["overall"]["n"] == 5
    done = vlmkit_here("mimic", "eval", benchmark.path, *model, "--strategy", "flat", "--strategy", "dci", "--json")
    assert "5 answers are there already" in done.stderr
    report = json.loads(done.stdout)
    for name in ("flat", "dci"):
        assert report["figures"][name]["overall"]["accuracy_micro"]["value"] == 1
    assert len(list((tmp_path / "runs").iterdir())) == 2
    done = vlmkit_here("mimic", "eval", benchmark.path, *model, "--fail-on-error", "0")
    assert f"{len(benchmark.items)} answers are there already" in done.stderr and done.returncode == 0


def test_cached_answers_are_replayed(vlmkit_here, benchmark, tmp_path):
    asked = ("--model", "scripted", "--limit", "5", "--cache=kept.sqlite", "--output")
    first, again = (evaluated(vlmkit_here, benchmark, *asked, output) for output in ("first", "again"))
    assert first["figures"] == again["figures"]
    usages = [
        json.loads(next((tmp_path / output).glob("*/results.json")).read_text())["usage"]
        for output in ("first", "again")
    ]
    assert [usage["cached"] for usage in usages] == [0, usages[0]["queries"]]


def test_a_run_of_vlmkit_run_is_judged_beside_predictions(vlmkit_here, benchmark, tmp_path):
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({one.id: one.gt for one in benchmark.items}))
    model = f"scripted:accuracy=0.5,truth={truth}"
    asked = ["run", f"mimic:file={benchmark.path}", "--model", model, "--strategy", "flat", "--output", "half"]
    assert vlmkit_here(*asked, "--quiet").returncode == 0
    right = predictions(tmp_path / "right.jsonl", {one.id: one.gt for one in benchmark.items})
    report = evaluated(vlmkit_here, benchmark, "--run", "half", "--predictions", right)
    shares = [figures["overall"]["accuracy_micro"]["value"] for figures in report["figures"].values()]
    assert list(report["figures"]) == ["half", "right"] and 0.2 < shares[0] < 0.8 and shares[1] == 1
    done = vlmkit_here("mimic", "eval", benchmark.path, "--run", "half", "--predictions", right, "--by", "spread")
    assert "half" in done.stdout and "right" in done.stdout and "constant guess" in done.stdout
    assert "distractors" not in done.stdout


def test_failed_items_have_no_answer_and_make_the_exit_code_1(vlmkit_here, benchmark, tmp_path):
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({one.id: one.gt for one in benchmark.items[4:]}))
    model = ["--model", f"scripted:accuracy=1,truth={truth}"]
    done = vlmkit_here("mimic", "eval", benchmark.path, *model)
    assert done.returncode == 1
    assert f"4 of {len(benchmark.items)} items failed, more than --fail-on-error 1% allows" in done.stderr
    assert "4 items without an answer" in done.stderr


def test_a_model_that_fails_every_item_is_said_to(vlmkit_here, benchmark, tmp_path):
    (tmp_path / "truth.json").write_text("{}")
    done = vlmkit_here("mimic", "eval", benchmark.path, "--model", "scripted:truth=truth.json", "--limit", "3")
    assert done.returncode == 1 and "error: 3 of 3 items failed" in done.stderr and not done.stdout


def test_tiny_answers_questions_over_several_images(vlmkit_here, benchmark):
    report = evaluated(vlmkit_here, benchmark, "--limit", "4", "--quiet")
    assert report["figures"]["flat"]["overall"]["n"] == 4


def test_a_plot_for_each_factor(vlmkit_here, benchmark, tmp_path):
    right = predictions(tmp_path / "right.jsonl", {one.id: one.gt for one in benchmark.items})
    done = vlmkit_here("mimic", "eval", benchmark.path, "--predictions", right, "--plots", "plots")
    assert done.returncode == 0, done.stderr
    drawn = {path.name for path in (tmp_path / "plots").iterdir()}
    assert drawn == {"images.png", "spread.png", "distractors.png", "total.png"}
    done = vlmkit_here("mimic", "eval", benchmark.path, "--predictions", right, "--plots", "plots", "--by", "cell")
    assert "drawn: plots/cell.png" in done.stderr
    with PIL.Image.open(tmp_path / "plots" / "spread.png") as picture:
        assert len(set(picture.convert("L").resize((100, 40)).tobytes())) > 10


def test_plots_without_matplotlib_say_what_to_install(vlmkit_here, benchmark, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = vlmkit_here("mimic", "eval", benchmark.path, "--plots", "plots")
    assert done.returncode == 2 and "pip install 'vlmkit[plot]'" in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"id": 3, "answer": "cat"}', "predictions p.jsonl, line 2: id is no text"),
        ('{"id": "a"}', "predictions p.jsonl, line 2: answer is no text"),
        ('{"id": "b", "answer": "cat"}', "line 2: id 'b' stands twice"),
        ("{", "line 2, column 2: broken JSON"),
        ("", "no answer of p is about"),
    ],
)
def test_mistakes_in_predictions_are_named(vlmkit_here, benchmark, tmp_path, line, says):
    (tmp_path / "p.jsonl").write_text('{"id": "b", "answer": "cat"}\n' + line)
    done = vlmkit_here("mimic", "eval", benchmark.path, "--predictions", "p.jsonl")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert says in done.stderr


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: lines.pop(0), "line 1: it has no header"),
        (lambda lines: lines.__setitem__(0, lines[0].replace('"mimic": 1', '"mimic": 9')), "its format is 9, not 1"),
        (lambda lines: lines.__setitem__(0, lines[0].replace('"seed": 0', '"seed": "x"')), "line 1: "),
        (lambda lines: lines.__setitem__(3, lines[3].replace('"gt"', '"no"')), "line 4: "),
        (lambda lines: lines.__delitem__(slice(1, None)), "it has no items"),
    ],
)
def test_broken_benchmarks_are_named_with_the_line(benchmark, tmp_path, change, says):
    lines = benchmark.path.read_text().splitlines()
    change(lines)
    broken = tmp_path / "broken.jsonl"
    broken.write_text("\n".join(lines))
    with pytest.raises(DataError, match=says) as caught:
        Benchmark.read(broken)
    assert str(broken) in caught.value.message and "\n" not in str(caught.value)


def test_a_file_and_its_pictures_can_be_moved_together(tmp_path):
    images, boxes, classes = tmp_path / "set" / "images", tmp_path / "boxes.csv", tmp_path / "classes.csv"
    images.mkdir(parents=True)
    rows = ["ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf"]
    for index in range(4):
        PIL.Image.new("RGB", (20, 20)).save(images / f"{index}.jpg")
        rows.append(f"{index},/m/{index % 2},0,1,0,1,0")
    boxes.write_text("\n".join(rows))
    classes.write_text("/m/0,Cat\n/m/1,Dog\n")
    path = tmp_path / "set" / "made.jsonl"
    settings = Settings(Sweeps(("common",), images=(2,)), items=2)
    Maker.of(f"openimages:classes={classes},boxes={boxes},images={images}", settings, output=path).write(path)
    moved = (tmp_path / "set").rename(tmp_path / "elsewhere")
    for example in Mimic(moved / "made.jsonl"):
        assert all(image.is_file() and moved in image.resolve().parents for image in example.images)
    with pytest.raises(DataError, match="there is no image folder"):
        Mimic(moved / "made.jsonl", tmp_path / "nowhere")


def test_drawn_pictures_have_no_folder(benchmark, tmp_path):
    with pytest.raises(DataError, match="drawn on the spot"):
        Mimic(benchmark.path, tmp_path)
