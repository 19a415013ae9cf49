"""The strategy ``auto``: its rule, its measurements, and what a run keeps of them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from itertools import pairwise

import PIL.Image
import pytest
from attrs import evolve, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmkit import Classify, Example, Image, LabelSpace, Letter, Pipeline
from vlmkit.errors import DataError, SpecError, StrategyError
from vlmkit.measures import wilson
from vlmkit.testing import check_strategy
from vlmkit_adapters.scripted import ScriptedBackend
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_strategies.auto import Auto
from vlmkit_strategies.choice import Measured, choose
from vlmkit_strategies.dci import DCI
from vlmkit_strategies.flat import Flat
from vlmkit_strategies.held_out import HeldOut
from vlmkit_strategies.narrowed import Narrowed

NAMES = LabelSpace(f"bird {number}" for number in range(200))


def colour(number: int) -> PIL.Image.Image:
    return PIL.Image.new("RGB", (4, 4), (number % 256, number // 256, 0))


@frozen
class Pictures:
    """One picture a number, each of one colour."""

    numbers: range
    labels: LabelSpace = field(default=NAMES, repr=False)

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[Example]:
        for number in self.numbers:
            yield Example(f"{number}.png", (colour(number),), target=NAMES[number % 200].name)


TRUTH = {Image(colour(number)).digest: NAMES[number % 200].name for number in range(400)}

CALIBRATION, OTHERS = Pictures(range(200)), Pictures(range(200, 240))


def model(dilution: float = 0.0) -> ScriptedBackend:
    return ScriptedBackend(accuracy=1.0, dilution=dilution, truth=TRUTH)


def auto(**more) -> Auto:
    return Auto(**{"calibration": CALIBRATION, "group_sizes": (5, 20), "unit": "queries", **more})


def report_of(strategy: Auto, backend=None, seed: int = 0):
    pipeline = Pipeline(backend or model(), strategy, seed=seed)
    return pipeline.calibrate(NAMES)


# The rule.

MEASURED = st.builds(
    lambda right, cost: Measured(f"{right} at {cost}", 9, wilson(right, 20), cost),
    st.integers(0, 20),
    st.integers(1, 9),
)


@given(st.lists(MEASURED, min_size=1, max_size=6), st.integers(0, 10))
def test_it_is_within_the_budget_and_as_good_as_the_best_there_and_nothing_as_good_is_cheaper(measured, budget):
    choice = choose(measured, budget)
    fitting = [one for one in measured if one.cost <= budget]
    assert choice.chosen in measured and choice.fits == bool(fitting)
    if not fitting:
        assert choice.chosen.cost == min(one.cost for one in measured)
        return
    assert choice.chosen in fitting and choice.best in fitting
    assert choice.best.accuracy.value == max(one.accuracy.value for one in fitting)
    assert choice.chosen.accuracy.value >= choice.best.accuracy.low
    for one in fitting:
        if one.accuracy.value >= choice.chosen.accuracy.value:
            assert one.cost > choice.chosen.cost or one.accuracy == choice.chosen.accuracy


@given(st.lists(MEASURED, min_size=1, max_size=6), st.integers(1, 10), st.integers(0, 5))
def test_a_larger_budget_never_chooses_a_cheaper_one_nor_lowers_the_mark(measured, budget, more):
    small, large = choose(measured, budget), choose(measured, budget + more)
    if small.fits:
        assert large.chosen.cost >= small.chosen.cost
        assert large.best.accuracy.low >= small.best.accuracy.low
    assert choose(measured) == choose(measured, 10)


@given(st.lists(MEASURED, min_size=1, max_size=6).flatmap(lambda all: st.tuples(st.just(all), st.permutations(all))))
def test_the_order_of_the_candidates_is_no_matter(both):
    one, other = map(choose, both)
    assert (one.chosen.cost, one.chosen.accuracy) == (other.chosen.cost, other.chosen.accuracy)


# What is measured.


@settings(max_examples=30)
@given(st.integers(1, 30), st.data())
def test_subsets_are_nested_and_hold_the_right_label_in_the_order_of_the_task(count, data):
    labels = NAMES.names[:count]
    target = data.draw(st.sampled_from(labels))
    task = Classify(images=(Image(colour(0)),), labels=labels, id="a.png", seed=data.draw(st.integers(0, 9)))
    shown = []
    for most in range(2, 32):
        (query,) = next(Narrowed(Flat(allow_none=True), most, {"a.png": target}).solve(task))
        shown.append([option.name for option in query.options])
        assert len(shown[-1]) == min(most, count) and target in shown[-1]
        assert shown[-1] == [name for name in labels if name in shown[-1]]
    assert all(set(small) <= set(large) for small, large in pairwise(shown))


def test_a_model_that_long_lists_confuse_gets_dci_and_one_that_they_do_not_gets_flat():
    report = report_of(auto(), model(dilution=0.03))
    assert report["chosen"] == "dci:group_size=5"
    accuracies = {one["strategy"]: one["accuracy"]["value"] for one in report["candidates"]}
    assert accuracies["flat"] < 0.2 < accuracies["dci:group_size=20"] < accuracies["dci:group_size=5"]
    assert [(one["labels"], one["accuracy"]["n"]) for one in report["curve"]] == [(5, 50), (20, 50)]
    assert [one["accuracy"]["value"] for one in report["curve"]] == sorted(
        (one["accuracy"]["value"] for one in report["curve"]), reverse=True
    )
    plain = report_of(auto())
    assert (plain["chosen"], plain["candidates"][0]["cost"]) == ("flat", 1)
    assert "the most accurate of 3 candidates" in plain["reason"]


def test_the_budget_limits_the_choice_and_the_reason_says_so():
    cheap = report_of(auto(budget=15.0), model(dilution=0.03))
    assert cheap["chosen"] == "dci:group_size=20" and "within the budget of 15" in cheap["reason"]
    none = report_of(auto(budget=0.5), model(dilution=0.03))
    assert none["chosen"] == "flat" and "no candidate is within the budget of 0.5" in none["reason"]


def test_the_same_seed_measures_the_same_examples_and_another_seed_others():
    one, again, other = (report_of(auto(examples=9), seed=seed) for seed in (0, 0, 1))
    assert one == again and len(one["images"]) == 9
    assert set(one["images"]) != set(other["images"])


def test_failed_examples_are_wrong_and_a_calibration_of_failures_is_none():
    lacking = model(0.03)
    lacking = evolve(lacking, truth={digest: TRUTH[digest] for digest in list(TRUTH)[:150]})
    report = report_of(auto(examples=200), lacking)
    assert {one["failed"] for one in report["candidates"]} == {50}
    assert "no truth for image" in report["candidates"][0]["error"]
    with pytest.raises(DataError, match=r"every calibration example failed .*no truth"):
        report_of(auto(), ScriptedBackend(truth={}))


def test_the_letter_readout_leaves_out_what_has_too_few_letters():
    report = report_of(auto(readout=Letter(), group_sizes=(5, 20, 50)))
    assert [one["strategy"] for one in report["candidates"]] == ["dci:group_size=5", "dci:group_size=20"]
    with pytest.raises(SpecError, match="no group size fits the letter readout"):
        report_of(auto(readout=Letter(), group_sizes=(50,)))


def test_examples_of_other_labels_are_left_out():
    pipeline = Pipeline(model(), auto(examples=200))
    assert len(pipeline.calibrate(LabelSpace(NAMES[:40]))["images"]) == 40
    with pytest.raises(DataError, match="no calibration example has a target among the labels"):
        pipeline.calibrate(LabelSpace(["heron", "egret"]))


def test_what_a_model_keeps_of_images_makes_no_later_candidate_cheaper():
    strategy = Auto(calibration=Glyphs(labels=12, images=3), group_sizes=(4,))
    with Pipeline("tiny", strategy) as pipeline:
        labels = Glyphs(labels=12).labels
        first, again = pipeline.calibrate(labels), pipeline.calibrate(labels)
    flat, dci = first["candidates"]
    assert first == again and 0 < flat["cost"] < dci["cost"]


# How it is used.


def test_what_it_chose_keeps_the_contract():
    check_strategy(HeldOut(DCI(group_size=9), frozenset({"0"})), free_questions=True)


def test_a_pipeline_calibrates_once_and_then_asks_as_the_chosen_strategy():
    pipeline = Pipeline(model(dilution=0.03), auto(), keep_exchanges=True)
    for _ in range(2):
        solved = list(pipeline.solve(OTHERS, NAMES))
    assert _most_options(solved) == 5
    assert sum(one.prediction.label == one.example.target for one in solved) > 20


def test_a_report_is_taken_for_a_measurement():
    report = report_of(auto(), model(dilution=0.03))
    deaf = ScriptedBackend(truth={})
    pipeline = Pipeline(deaf, auto())
    assert pipeline.calibrate(NAMES, report) == report
    with pytest.raises(SpecError, match="'tree', which is no candidate"):
        pipeline.calibrate(NAMES, {**report, "chosen": "tree"})


def test_what_was_found_travels_with_the_pipeline():
    """No measurement would choose what the report says: of a model that nothing confuses, flat is as good."""
    pipeline = Pipeline(model(), auto(), keep_exchanges=True)
    pipeline.calibrate(NAMES, {**report_of(auto()), "chosen": "dci:group_size=20"})
    for other in (pickle.loads(pickle.dumps(pipeline)), pipeline.on("cpu")):
        assert _most_options(other.solve(OTHERS, NAMES)) == 20
        assert _most_options(other.solve(OTHERS, NAMES[:100])) == 100  # other labels are measured anew
    assert (
        _most_options(pickle.loads(pickle.dumps(Pipeline(model(), auto(), keep_exchanges=True))).solve(OTHERS, NAMES))
        == 200
    )


def _most_options(solved) -> int:
    return max(len(exchange.query.options) for one in solved for exchange in one.exchanges)


def test_images_that_it_was_calibrated_on_fail_and_others_do_not():
    both = Pictures(range(150, 250))
    pipeline = Pipeline(model(), auto(examples=200))
    solved = {one.example.id: one for one in pipeline.solve(both, NAMES)}
    for number in both.numbers:
        error = solved[f"{number}.png"].error
        assert isinstance(error, StrategyError) and "calibrated on" in str(error) if number < 200 else error is None


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("auto", "strategy auto needs calibration; write auto:calibration=..."),
        ("auto:calibration=nowhere", "there is no file or folder nowhere"),
        ('vote+auto:calibration="glyphs:labels=9,images=3"', "strategy auto chooses by measuring the model"),
    ],
)
def test_misuse_is_one_line(vlmkit_here, command, strategy, message):
    done = vlmkit_here(command, "glyphs:labels=9,images=3", "--model", "scripted", "--strategy", strategy)
    assert done.returncode == 2 and f"error: {message}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_keeps_the_choice_and_goes_on_with_it(vlmkit_here, tmp_path):
    data = 'auto:calibration="glyphs:labels=1000,images=200,seed=1",examples=4,group-sizes="5,10",unit=queries'
    command = ("run", "glyphs:labels=60,images=6", "--model", "scripted", "--output", "out", "--strategy", data)
    first = vlmkit_here(*command, "--limit", 2)
    assert first.returncode == 0, first.stderr
    path = tmp_path / "out" / "calibration.json"
    report = json.loads(path.read_text())
    assert f"calibrated: {report['reason']}\n" in first.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["calibration"] == {"chosen": report["chosen"], "reason": report["reason"]}
    # Nothing but the file can tell the second go this.
    path.write_text(json.dumps({**report, "chosen": "dci:group_size=10", "reason": "noted earlier"}))
    second = vlmkit_here(*command)
    assert second.returncode == 0 and "calibrated: noted earlier\n" in second.stderr
    lines = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert [line["trace"][0]["queries"] for line in lines[2:]] == [6] * 4
    quiet = vlmkit_here(*command, "--quiet")
    assert "calibrated" not in quiet.stderr
