"""``vlmkit bench collapse``: whose subsets, where labels are lost, and how it goes on; how right is for its reports."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmkit.bench.collapse.figures import Point
from vlmkit.bench.collapse.images import draw_samples
from vlmkit.bench.collapse.lost import PLACES, losses
from vlmkit.bench.collapse.plot import plot
from vlmkit.bench.collapse.subsets import Subsets
from vlmkit.bench.collapse.tables import csv_text, sheets
from vlmkit.errors import DataError, UserError
from vlmkit.runs import Record, StoredRun
from vlmkit.runs.record import Failure, RoundRecord
from vlmkit.types import LabelSpace, Usage
from vlmkit_glyphs.dataset import Glyphs

NAMES = tuple(f"label {number}" for number in range(30))
LABELS = LabelSpace(NAMES)


# Subsets and images

KINDS = st.sampled_from(["nested", "independent"])
IDS = st.text(st.characters(exclude_categories=[]), max_size=8)  # lone surrogates included


@given(st.integers(1, 30), st.integers(0, 99), KINDS, IDS, st.sampled_from(NAMES))
def test_a_subset_has_its_size_the_right_label_and_the_order_of_the_data(size, seed, kind, image, target):
    subset = Subsets(size, seed, kind).of(image, target, LABELS)
    assert len(subset) == size and target in subset.names
    assert list(subset.names) == sorted(subset.names, key=NAMES.index)
    assert Subsets(size, seed, kind).of(image, target, LABELS) == subset


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 99), IDS, st.sampled_from(NAMES))
def test_nested_subsets_of_an_image_hold_one_another(one, other, seed, image, target):
    small, large = (set(Subsets(size, seed).of(image, target, LABELS).names) for size in sorted((one, other)))
    assert small <= large


def test_subsets_differ_by_image_seed_and_where_independent_by_size():
    def drawn(kind, size=10, seed=0, image="a"):
        return set(Subsets(size, seed, kind).of(image, "label 0", LABELS).names)

    for kind in ("nested", "independent"):
        assert drawn(kind) != drawn(kind, seed=1) and drawn(kind) != drawn(kind, image="b")
    assert not drawn("independent") <= drawn("independent", size=11)


def test_labels_are_drawn_evenly():
    """Each of the others is in a subset of 10 of 30 with the probability 9/29."""
    seen = dict.fromkeys(NAMES[1:], 0)
    for image in range(2000):
        for name in Subsets(10).of(str(image), "label 0", LABELS).names:
            if name != "label 0":
                seen[name] += 1
    assert all(abs(count / 2000 - 9 / 29) < 5 * (9 / 29 * 20 / 29 / 2000) ** 0.5 for count in seen.values())


def test_a_sample_of_fewer_images_begins_one_of_more_and_seeds_draw_others():
    data = Glyphs(labels=20, images=20)
    few, many = (draw_samples(data, images, [0, 1]) for images in (4, 12))
    for small, large in zip(few, many, strict=True):
        assert small.ids == large.ids[:4] and len(set(large.ids)) == 12
        assert [small.target_of(image) for image in small.ids] == [example.target for example in small]
    assert few[0].ids != few[1].ids
    with pytest.raises(DataError, match="the data has 20 images, not 21"):
        draw_samples(data, 21, [0])


# Where the right label was lost


def record(*trace: RoundRecord, correct: bool = False, error: Failure | None = None, image: str = "x") -> Record:
    right = None if error else correct
    return Record(image, "a" if correct else None, "a", right, (), trace, None, Usage(queries=1), error)


def played(candidates: int, survivors: int, there: bool, *, queries: int = 3, none: int = 0, invalid: int = 0):
    return RoundRecord(candidates, queries, none, invalid, survivors, there)


WON, BEATEN = played(9, 3, True), played(9, 3, False)
EMPTY = played(9, 0, False, none=3)


def asked(there: bool, **answered: int) -> RoundRecord:
    return played(3, 0 if answered else 1, there, queries=1, **answered)


@pytest.mark.parametrize(
    ("place", "trace"),
    [
        ("round 1", [BEATEN, asked(False)]),
        ("round 2", [WON, BEATEN, asked(False)]),
        ("round 2", [WON, BEATEN]),  # one survivor, which is returned unasked
        ("round 1", [EMPTY]),
        ("last question", [WON, asked(False)]),
        ("last question", [asked(False)]),  # flat
        ("last question", [EMPTY, asked(False)]),  # all of the round are asked about once more
        ("None", [WON, asked(False, none=1)]),
        ("invalid", [WON, asked(False, invalid=1)]),
        ("not chosen", [WON]),  # it survived, and another survivor was predicted
        ("not asked", []),
    ],
)
def test_the_place_where_a_label_is_lost(place, trace):
    counted = losses([record(*trace)])
    assert {name: count for name, count in counted.items() if count} == {place: 1}


def test_a_failure_is_an_error_of_its_own_and_a_right_answer_none():
    counted = losses([record(error=Failure("ImageError", "no picture")), record(BEATEN, asked(True), correct=True)])
    assert counted == {**dict.fromkeys(PLACES, 0), "failed": 1}


ROUNDS = st.builds(
    RoundRecord,
    candidates=st.integers(1, 9),
    queries=st.integers(1, 4),
    none=st.integers(0, 1),
    invalid=st.integers(0, 1),
    survivors=st.integers(0, 3),
    target_survived=st.booleans(),
)
RECORDS = st.builds(
    lambda trace, correct, failed, image: (
        record(error=Failure("E", "m"), image=image) if failed else record(*trace, correct=correct, image=image)
    ),
    st.lists(ROUNDS, max_size=4),
    st.booleans(),
    st.booleans(),
    st.sampled_from("abcd"),
)


@given(st.lists(RECORDS, min_size=1, max_size=8), st.lists(RECORDS, max_size=8))
def test_losses_add_up_to_all_errors(first, second):
    point = Point.of("dci", 9, {0: first, 1: second})
    everything = [*first, *second]
    failed = sum(record.error is not None for record in everything)
    assert point.images == len(everything) and point.lost["failed"] == failed
    assert sum(point.lost.values()) == sum(not record.correct for record in everything)
    if point.accuracy is None:
        assert failed == point.images
    else:
        assert point.accuracy.n == point.images - failed
        assert round(point.accuracy.value * point.accuracy.n) + sum(point.lost.values()) == point.images
        assert point.accuracy.low <= point.accuracy.value <= point.accuracy.high
    assert csv_text([point]).count("\n") == 2 and all(sheet.markdown() for sheet in sheets([point]))


def test_figures_of_known_rounds():
    """Of three images, one is right, one is beaten in the first round, one in the last question."""
    right = record(WON, asked(True), correct=True, image="a")
    point = Point.of("dci", 9, {0: [right, record(BEATEN, asked(False), image="b")], 5: [record(WON, asked(False))]})
    assert point.by_seed == {0: 0.5, 5: 0.0}
    assert point.cost.queries == 1.0
    first, last = point.levels
    assert (first.candidates, first.survivors, first.shrink) == (9.0, 3.0, pytest.approx(1 / 3))
    assert (first.survival.value, first.survival.n) == (pytest.approx(2 / 3), 3)
    assert (last.survival.value, last.survival.n) == (0.5, 2)  # of those that came so far
    assert (last.none_rate.value, last.none_rate.n) == (0.0, 3)


def test_images_with_all_their_seeds_are_resampled_together():
    def accuracy(images):
        several = {
            seed: [record(asked(True), correct=place % 2 == 0, image=images(place, seed)) for place in range(40)]
            for seed in range(3)
        }
        return Point.of("flat", 9, several).accuracy

    apart, together = accuracy(lambda place, seed: f"{place} {seed}"), accuracy(lambda place, seed: str(place))
    assert apart.value == together.value == 0.5
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_the_same_points_are_drawn_with_the_same_bytes(tmp_path):
    points = [
        Point.of(strategy, labels, {0: [record(asked(True), correct=labels < 5 or strategy == "dci")]})
        for strategy in ("flat", "dci")
        for labels in (2, 5)
    ]
    for name in ("a.svg", "b.svg"):
        plot(points, "two strategies", tmp_path / name)
    drawn = (tmp_path / "a.svg").read_bytes()
    assert drawn == (tmp_path / "b.svg").read_bytes() and b"dc:date" not in drawn
    with pytest.raises(UserError, match=r"gone/a.svg cannot be written"):
        plot(points, "two strategies", tmp_path / "gone" / "a.svg")


# The command

SMALL = (
    "--data",
    "glyphs:labels=12,images=12",
    "--labels",
    "4,12",
    "--images",
    "5",
    "--seeds",
    "2",
    "--in-flight",
    "2",
)


@pytest.fixture(scope="session")
def truth(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("truth") / "truth.json"
    path.write_text(json.dumps({example.id: example.target for example in Glyphs(labels=12, images=12)}))
    return path


def arguments(truth: Path, *more: str, latency: float = 0.0) -> Sequence[str]:
    model = f"scripted:accuracy=1,dilution=0.08,latency={latency},truth={truth}"
    return ("bench", "collapse", model, "--strategies", "flat,dci:group_size=4,readout=letter", *SMALL, *more)


def read(result: subprocess.CompletedProcess[str]):
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    for point in found["points"]:
        point["cost"].pop("seconds")
    return found


def test_every_strategy_sees_the_same_images_with_the_same_labels(vlmkit_here, truth, tmp_path):
    found = read(
        vlmkit_here(*arguments(truth, "--output", "out", "--json", "--csv", "out.csv", "--markdown", "out.md"))
    )
    cells = {(point["strategy"], point["labels"]): point for point in found["points"]}
    assert list(cells) == [(name, n) for name in ("flat", "dci:group_size=4,readout=letter") for n in (4, 12)]
    assert all(point["images"] == 10 and set(point["by_seed"]) == {"0", "1"} for point in cells.values())
    assert cells["flat", 12]["cost"]["queries"] == 1
    assert cells["dci:group_size=4,readout=letter", 12]["cost"]["queries"] == 4
    assert cells["dci:group_size=4,readout=letter", 12]["levels"][0]["shrink"] == 0.25
    flat, dci = (StoredRun.read(tmp_path / "out" / name / "4-labels" / "seed-1") for name in names(tmp_path / "out"))
    # With one question each, both ask the same, and so the scripted model answers the same.
    assert [(one.id, one.label) for one in flat.records()] == [(one.id, one.label) for one in dci.records()]
    assert flat.fingerprint["strategy"]["subsets"]["size"] == 4
    assert flat.results["metrics"]["accuracy"]["n"] == 5 and flat.manifest["session"]["config"]["seed"] == 1
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 5
    assert "| labels | flat | dci:group_size=4,readout=letter |" in (tmp_path / "out.md").read_text()


def test_cached_answers_are_replayed_and_told_from_what_was_paid_for(vlmkit_here, truth):
    first = vlmkit_here(*arguments(truth, "--cache=kept.sqlite", "--output", "first", "--json"))
    asked = {(point["strategy"], point["labels"]): point for point in read(first)["points"]}
    assert asked["flat", 4]["cost"]["cached"] == 0
    again = vlmkit_here(*arguments(truth, "--cache=kept.sqlite", "--output", "again", "--json"))
    for point in read(again)["points"]:
        before, cost = asked[point["strategy"], point["labels"]], point["cost"]
        assert point["accuracy"] == before["accuracy"]
        assert cost["cached"] == cost["queries"] == before["cost"]["queries"] and cost["forwards"] == 0
    shown = vlmkit_here(*arguments(truth, "--cache=kept.sqlite", "--output", "again"))
    assert "cached" in shown.stdout and "came out of the cache" in shown.stderr


def names(output: Path) -> list[str]:
    found = sorted(path.name for path in output.iterdir())
    assert found == ["dci-group_size=4-readout=letter", "flat"]
    return found[::-1]


@pytest.mark.thorough
def test_a_killed_one_goes_on_and_a_changed_setting_is_refused(vlmkit_here, truth, tmp_path, environment):
    command = [sys.executable, "-m", "vlmkit", *arguments(truth, "--output", "out", latency=0.5)]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    lines = tmp_path / "out" / "dci-group_size=4-readout=letter" / "4-labels" / "seed-0" / "predictions.jsonl"
    while not (lines.exists() and lines.read_bytes().count(b"\n")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = lines.read_bytes()
    whole = before[: before.rfind(b"\n") + 1]
    done = len(whole.splitlines())

    again = vlmkit_here(*arguments(truth, "--output", "out", "--json"))
    assert f"continuing {lines.parent.relative_to(tmp_path)}: {done} images are done" in again.stderr
    assert "flat, 4 labels, seed 0" not in again.stderr  # finished before
    assert lines.read_bytes().startswith(whole) and lines.read_bytes().count(b"\n") == 5
    straight = read(vlmkit_here(*arguments(truth, "--output", "straight", "--json")))
    assert read(again)["points"] == straight["points"]

    ended = vlmkit_here(*arguments(truth, "--output", "out", "--quiet"))
    assert ended.returncode == 0 and ended.stderr == ""
    more = vlmkit_here(*arguments(truth, "--output", "out", "--images", "6", "--json"))
    assert all(point["images"] == 12 for point in read(more)["points"])

    refused = vlmkit_here(*arguments(truth, "--output", "out", "--subsets", "independent"))
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1
    assert 'strategy.subsets.kind was "nested", is "independent"' in refused.stderr


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--labels", "4,13"], "the data has 12 labels, not 13"),
        (["--labels", "1,4"], "1 is not in the range x>=2"),
        (["--images", "13"], "the data has 12 images, not 13"),
        (["--strategies", "flat,flatt"], "unknown strategy 'flatt'; did you mean flat"),
        (["--strategies", "dci:group_size=4,size=3"], "dci"),
        (["--strategies", "flat,masked"], "strategy Masked needs mask, which scripted cannot do"),
        (["--strategies", "flat,"], "expected a name at character 6"),
        (["--plot", "curve.txt"], "no plot can be written as curve.txt"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(vlmkit_here, truth, tmp_path, more, told):
    result = vlmkit_here(*arguments(truth, "--output", "out", *more))
    assert result.returncode == 2 and told in result.stderr and len(result.stderr.splitlines()) == 1, result.stderr
    assert not (tmp_path / "out").exists()


def test_data_without_targets_are_refused(vlmkit_here, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    next(iter(Glyphs(images=1))).images[0].save(folder / "one.png")
    result = vlmkit_here("bench", "collapse", "scripted", "--data", "photos")
    assert result.returncode == 2 and "no two labels" in result.stderr and len(result.stderr.splitlines()) == 1


def test_failures_beyond_the_budget_end_with_code_1(vlmkit_here, tmp_path):
    folder = tmp_path / "photos"
    for example in Glyphs(labels=3, images=3):
        (folder / example.target).mkdir(parents=True)
        example.images[0].save(folder / example.target / "one.png")
    (folder / example.target / "one.png").write_text("no picture")
    asked = ("bench", "collapse", "scripted", "--data", "photos", "--labels", "2", "--images", "3", "--seeds", "1")
    result = vlmkit_here(*asked, "--strategies", "flat", "--json")
    assert result.returncode == 1 and "1 of 3 examples failed, more than --fail-on-error 1% allows" in result.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert result.stderr.endswith(f"--output runs/{folder.name}\n")
    (point,) = json.loads(result.stdout)["points"]
    assert point["lost"]["failed"] == 1 and point["accuracy"]["n"] == 2


def test_the_embedded_model_keeps_its_word(vlmkit_here, tmp_path):
    result = vlmkit_here("bench", "collapse", "--labels", "3,5", "--images", "2", "--seeds", "1", "--plot", "curve.png")
    assert result.returncode == 0, result.stderr
    assert "100% (34%-100%)" in result.stdout and "runs in runs/collapse-" in result.stdout
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
