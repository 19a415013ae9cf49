"""Run directories: what is written, how a run goes on, and what the figures say."""

import json
import math
import os
import shutil
from contextlib import nullcontext

import PIL.Image
import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vlmkit import Pipeline, Prediction, Ranking, Round, Tokens, Usage
from vlmkit.engine import Solved
from vlmkit.errors import DataError, LabelError, RunDirectoryError
from vlmkit.prompts import Prompt
from vlmkit.registry import Builder, Spec
from vlmkit.runs import (
    Experiment,
    Record,
    Run,
    RunDirectory,
    StoredRun,
    Survey,
    Tally,
    default_directory,
    differences,
    fingerprint,
    from_json,
    to_json,
)
from vlmkit.runs.fingerprint import described
from vlmkit.types import Example, Label, LabelSpace

MANIFEST = {"fingerprint": {"seed": 0}, "session": {"started": "now"}}


@pytest.fixture
def go(toy_host):
    """Run the toy once: ``go(path, model=..., **data options)``; return its results."""

    def call(path, model="colours", *, strategy="halves", observe=lambda record: None, warn=print, **options):
        dataset = Builder(toy_host.registry).dataset(Spec("colours", {k: str(v) for k, v in options.items()}))
        with (
            Pipeline(model, strategy, plugins=toy_host, in_flight=2, keep_exchanges=True) as pipeline,
            RunDirectory.open(path, MANIFEST) as files,
        ):
            experiment = Experiment(
                pipeline=pipeline,
                dataset=dataset,
                data="colours",
                labels=dataset.labels,
                survey=Survey.of(dataset, dataset.labels),
                config={"seed": 0},
                plugins=toy_host,
                warn=warn,
                watch=lambda total, before: nullcontext(observe),
            )
            return Run(experiment, files).execute()

    return call


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def whole(toy_host, tmp_path_factory):
    """A finished run of eight examples."""
    return tmp_path_factory.mktemp("whole") / "run"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.integers(0, 8), torn=st.integers(0, 40), samples=st.integers(0, 24))
def test_going_on_from_any_prefix_equals_one_go(go, whole, tmp_path, records, torn, samples):
    if not whole.exists():
        go(whole, images=8)
    part = tmp_path / "part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    shutil.copy(whole / "manifest.json", part)
    everything = (whole / "predictions.jsonl").read_bytes().splitlines(keepends=True)
    rest = b"".join(everything[records:])
    (part / "predictions.jsonl").write_bytes(b"".join(everything[:records]) + rest[:torn])
    # Three questions an example; those of an example are there before its record.
    logged = (whole / "samples.jsonl").read_bytes().splitlines(keepends=True)
    (part / "samples.jsonl").write_bytes(
        b"".join(logged[: max(samples, 3 * len((part / "predictions.jsonl").read_bytes().splitlines()))])
    )

    results = go(part, images=8)

    assert (part / "predictions.jsonl").read_bytes() == b"".join(everything)
    assert (part / "samples.jsonl").read_bytes() == b"".join(logged)
    assert {**results, "directory": ""} == {**json.loads((whole / "results.json").read_text()), "directory": ""}


def test_a_last_line_that_lacks_its_end_alone_is_kept(go, tmp_path):
    go(tmp_path / "run", images=3)
    path = tmp_path / "run" / "predictions.jsonl"
    written = path.read_bytes()
    path.write_bytes(written.rstrip(b"\n"))  # as some editors leave a file
    assert len(list(StoredRun.read(path.parent).records())) == 3
    go(path.parent, images=4)
    assert path.read_bytes().startswith(written)


def test_figures_of_a_known_run(go, tmp_path):
    results = go(tmp_path / "run", images=6)
    assert results["n"] == {"total": 6, "done": 6, "failed": 0}
    assert results["metrics"]["accuracy"]["value"] == 1.0
    assert [interval["n"] for interval in results["metrics"]["gold_survival"]] == [6, 6]
    assert results["usage"] == {
        "queries": 18,
        "forwards": 4,  # 18 quarters are 4.5
        "images_encoded": 18,
        "tokens": {"trunk": 54, "branch": 36, "generated": 0},
        "seconds": 9.0,
        "retries": 0,
        "cost": 0.0,
        "cached": 0,
    }
    assert json.loads((tmp_path / "run" / "results.json").read_text()) == results


def test_samples_hold_every_question_and_its_answer(go, tmp_path):
    go(tmp_path / "run", images=1)
    first, second, last = lines(tmp_path / "run" / "samples.jsonl")
    assert [first["round"], second["round"], last["round"]] == [0, 0, 1]
    assert first["options"] == ["red", "green", "blue"]
    assert "red" in first["prompt"]
    assert first["choice"] == "red" and first["outcome"] == "selected" and first["log_probs"][0] == 0


def test_failed_examples_are_records_and_are_tried_again(go, tmp_path):
    path = tmp_path / "run"
    results = go(path, "colours:fail=blue", images=12)
    assert results["status"] == "failed"
    assert results["n"] == {"total": 12, "done": 10, "failed": 2}
    assert results["metrics"]["accuracy"]["n"] == 10
    failed = [record for record in lines(path / "predictions.jsonl") if record["error"]]
    assert failed[0]["error"] == {"type": "BackendError", "message": "no answer about blue"}
    assert failed[0]["correct"] is None and failed[0]["label"] is None

    results = go(path, images=12)
    assert results["status"] == "success"
    assert sorted(record["id"] for record in lines(path / "predictions.jsonl")) == [f"{i:03d}" for i in range(12)]
    assert len(lines(path / "samples.jsonl")) == 36


def test_an_interrupt_leaves_a_run_that_goes_on(go, tmp_path):
    def interrupt(record):
        if record.id == "002":
            raise KeyboardInterrupt

    results = go(tmp_path / "run", observe=interrupt, images=6)
    assert results["status"] == "cancelled"
    assert results["n"] == {"total": 6, "done": 3, "failed": 0}
    assert go(tmp_path / "run", images=6)["status"] == "success"
    assert len(lines(tmp_path / "run" / "predictions.jsonl")) == 6
    assert len(json.loads((tmp_path / "run" / "manifest.json").read_text())["resumed"]) == 1


def test_a_run_that_breaks_off_is_failed_and_keeps_what_it_has(go, tmp_path):
    def stumble(record):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        go(tmp_path / "run", observe=stumble, images=6)
    assert json.loads((tmp_path / "run" / "results.json").read_text())["status"] == "failed"
    assert len(lines(tmp_path / "run" / "predictions.jsonl")) == 1


def test_a_run_has_one_writer(tmp_path):
    with (
        RunDirectory.open(tmp_path / "run", MANIFEST),
        pytest.raises(RunDirectoryError, match=rf"in use by process {os.getpid()}"),
    ):
        RunDirectory.open(tmp_path / "run", MANIFEST)
    RunDirectory.open(tmp_path / "run", MANIFEST).close()


def test_another_configuration_is_refused_key_by_key(tmp_path):
    first = {"seed": 0, "strategy": {"type": "a.DCI", "group_size": 20}, "data": "glyphs"}
    other = {"seed": 1, "strategy": {"type": "a.DCI", "group_size": 50}, "data": "glyphs"}
    RunDirectory.open(tmp_path / "run", {**MANIFEST, "fingerprint": first}).close()
    before = (tmp_path / "run" / "manifest.json").read_bytes()
    with pytest.raises(RunDirectoryError, match=r"seed was 0, is 1; strategy\.group_size was 20, is 50"):
        RunDirectory.open(tmp_path / "run", {**MANIFEST, "fingerprint": other})
    assert (tmp_path / "run" / "manifest.json").read_bytes() == before


def test_a_directory_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunDirectoryError, match="is not empty and holds no run"):
        RunDirectory.open(tmp_path, MANIFEST)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_fresh_run_never_overwrites(tmp_path):
    RunDirectory.open(tmp_path / "run", MANIFEST, fresh=True).close()
    with pytest.raises(RunDirectoryError, match="already holds a run"):
        RunDirectory.open(tmp_path / "run", MANIFEST, fresh=True)


def test_a_damaged_line_is_named(go, tmp_path):
    go(tmp_path / "run", images=3)
    predictions = tmp_path / "run" / "predictions.jsonl"
    content = predictions.read_bytes().splitlines(keepends=True)
    predictions.write_bytes(content[0] + b"\0\0\0\n" + content[2])
    with pytest.raises(RunDirectoryError, match="line 2 is damaged"):
        go(tmp_path / "run", images=3)


def test_a_line_that_is_no_record_is_named(go, tmp_path):
    go(tmp_path / "run", images=3)
    with (tmp_path / "run" / "predictions.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "x"}\n')
    with pytest.raises(RunDirectoryError, match="line 4 is no record of this version"):
        go(tmp_path / "run", images=3)


def test_the_newest_unfinished_run_of_the_same_kind_is_the_default(tmp_path):
    def earlier(name, seed, status):
        with RunDirectory.open(tmp_path / name, {**MANIFEST, "fingerprint": {"seed": seed}}) as files:
            if status:
                files.write_results({"status": status})

    earlier("20260101-000000-dci", 0, "cancelled")
    earlier("20260102-000000-dci", 0, None)
    earlier("20260103-000000-dci", 0, "success")
    earlier("20260104-000000-dci", 1, None)
    assert default_directory({"seed": 0}, "dci", root=tmp_path).name == "20260102-000000-dci"
    assert not default_directory({"seed": 0}, "dci", root=tmp_path, fresh=True).exists()
    assert not default_directory({"seed": 2}, "dci", root=tmp_path).exists()


def test_the_fingerprint_holds_what_changes_results_and_not_the_device(toy_host, tmp_path):
    def of(model="colours", strategy="halves", data="colours", labels=("a", "b"), template=None, seed=0):
        pipeline = Pipeline(model, strategy, plugins=toy_host)
        prompt = pipeline.prompt if template is None else Prompt(template)
        return fingerprint(
            backend=pipeline.backend,
            strategy=pipeline.strategy,
            data=data,
            labels=LabelSpace(labels),
            prompt=prompt,
            seed=seed,
        )

    assert of() == of(strategy="halves:group_size=3") == of(model="colours:device=cuda")
    others = [
        of(model="colours:fail=red"),
        of(strategy="halves:group_size=2"),
        of(strategy="whole"),
        of(data="colours:images=9"),
        of(labels=("b", "a")),
        of(labels=("a", Label("b", "a letter"))),
        of(template="{% for option in options %}{{ option.name }}{% endfor %}"),
        of(seed=1),
    ]
    for other in others:
        assert len(list(differences(of(), other))) >= 1
    assert list(differences(of(), others[1])) == ["strategy.group_size was 3, is 2"]


def test_the_fingerprint_is_the_same_before_the_weights_load_and_after():
    with Pipeline("tiny", "flat") as pipeline:

        def now():
            return fingerprint(
                backend=pipeline.backend,
                strategy=pipeline.strategy,
                data="glyphs",
                labels=LabelSpace("ab"),
                prompt=pipeline.prompt,
                seed=0,
            )

        before = now()
        assert list(pipeline.classify(PIL.Image.new("RGB", (32, 32)), ["a", "b"]))
        assert now() == before


def test_a_file_is_described_by_its_content(tmp_path):
    path = tmp_path / "similarity.csv"
    path.write_text("1", encoding="utf-8")
    before = described(path)
    path.write_text("2", encoding="utf-8")
    assert described(path) != before


def test_a_plain_strategy_object_is_described_without_its_address():
    class Plain:
        def __init__(self):
            self.size, self._cache, self.rank = 3, object(), max

    assert described(Plain()) == described(Plain())
    assert described(Plain())["size"] == 3


TEXT = st.text(st.characters(exclude_categories=[]), min_size=1, max_size=8)  # lone surrogates included
FLOATS = st.floats(allow_nan=False)
USAGES = st.builds(
    Usage, st.integers(0, 9), st.floats(0, 9), st.integers(0, 9), st.builds(Tokens, st.integers(0, 99)), st.floats(0, 9)
)


@settings(max_examples=60)
@given(
    st.builds(
        Solved,
        st.builds(Example, TEXT, st.just(()), st.none() | TEXT),
        st.builds(
            Prediction,
            st.none() | TEXT,
            st.lists(st.tuples(TEXT, FLOATS), max_size=12).map(Ranking),
            st.lists(st.builds(Round, st.integers(1, 9), st.integers(1, 9), st.lists(TEXT, max_size=3)), max_size=3),
        ),
        usage=USAGES,
    )
)
def test_a_record_survives_the_disk(tmp_path_factory, solved):
    path = tmp_path_factory.mktemp("record")
    record = Record.of(solved)
    with RunDirectory.open(path, MANIFEST) as files:
        files.append(record, [])
        (read,) = files.records()
    finite = tuple((name, score if math.isfinite(score) else None) for name, score in record.ranking)
    assert read == evolve(record, ranking=finite)
    assert from_json(to_json(read), Record) == read


@given(st.lists(USAGES, max_size=5), st.randoms())
def test_usage_does_not_depend_on_the_order_of_records(usages, random):
    def total(order):
        return Tally.of(Record.of(Solved(Example("x", ()), Prediction(None), usage=usage)) for usage in order).usage

    shuffled = random.sample(usages, len(usages))
    assert total(shuffled).forwards == pytest.approx(total(usages).forwards)
    assert total(shuffled).tokens == total(usages).tokens


def test_a_null_label_counts_as_wrong_and_an_unknown_target_does_not_count():
    def record(label, target):
        return Record.of(Solved(Example("x", (), target), Prediction(label, Ranking((("b", 1.0), ("a", 0.0))))))

    tally = Tally.of([record(None, "a"), record("a", "a"), record("b", "a"), record("b", None)])
    assert tally.metrics["accuracy"]["value"] == pytest.approx(1 / 3)
    assert tally.metrics["top5_accuracy"]["value"] == 1.0
    assert Tally.of([record("b", None)]).metrics["accuracy"] is None


def test_survival_is_counted_round_by_round():
    def record(*survivors):
        trace = [Round(9, 2, names, none=1) for names in survivors]
        return Record.of(Solved(Example("x", (), "a"), Prediction("a", trace=trace)))

    metrics = Tally.of([record("ab", "a"), record("bc", "b"), record("a")]).metrics
    assert [(i["value"], i["n"]) for i in metrics["gold_survival"]] == [(pytest.approx(2 / 3), 3), (0.5, 2)]
    assert (metrics["none_rate"]["value"], metrics["none_rate"]["n"]) == (0.5, 10)


@pytest.mark.parametrize(
    ("examples", "labels", "error", "message"),
    [
        ([], ["cat"], DataError, "holds no example"),
        ([Example("x", ()), Example("x", ())], ["cat"], DataError, "two examples have the id 'x'"),
        ([Example("x", (), "cta")], ["cat", "dog"], DataError, "'x' has the target 'cta'.*did you mean 'cat'"),
        ([Example("x", ())], [], LabelError, "no labels to choose from"),
    ],
)
def test_unusable_data_is_found_before_any_question(examples, labels, error, message):
    with pytest.raises(error, match=message):
        Survey.of(examples, LabelSpace(labels))


def test_questions_need_no_labels():
    assert Survey.of([Example("x", (), question="Why?")], LabelSpace(())).judged is False
