"""Linear probes: they find what is linearly there, report chance where nothing is, and never look at the test part."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import PIL.Image
import pytest
import torch
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from vlmkit import Capability, Example, LabelSpace, Taxonomy, arbitrary
from vlmkit.errors import DataError, RunDirectoryError
from vlmkit.runs import RunDirectory
from vlmkit_hierarchy.probes import look
from vlmkit_hierarchy.probes.outcome import probe
from vlmkit_hierarchy.probes.split import PARTS, Split
from vlmkit_hierarchy.probes.store import Store, Subject
from vlmkit_hierarchy.probes.targets import UNGRADED, Targets

TREE = Taxonomy([(f"f{a}", f"g{a}{b}", f"s{a}{b}{c}") for a, b, c in product(range(3), range(2), range(2))])
"""3 families, 6 genera, 12 species."""

RAGGED = Taxonomy([("a", "a1"), ("a", "a2"), ("b",), ("c", "c1", "x"), ("c", "c1", "y")])

LABELS = [path[-1] for path in TREE.paths] * 20
CPU = torch.device("cpu")


def features_of(paths, *, noise=0.3, hidden=48, seed=0):
    """Return features in which every distinct path has a direction of its own."""
    rng = np.random.default_rng(seed)
    direction = {path: rng.normal(size=hidden) for path in sorted(set(paths))}
    clean = np.array([direction[path] for path in paths])
    return (clean + noise * rng.normal(size=clean.shape)).astype(np.float32)


def judged(features, labels=LABELS, seed=0):
    targets = Targets.of(TREE, labels)
    return probe(features, targets, Split(seed=seed)(targets.kinds), CPU)


def proportions(found):
    return [found["hca"], found["leaf_accuracy"], *found["level_accuracy"]]


def test_levels_that_are_linearly_there_are_found():
    found = judged(features_of([TREE.path_of(label) for label in LABELS]))
    assert all(one["value"] > 0.95 and one["low"] > one["chance"] for one in proportions(found))
    assert [one["classes"] for one in found["level_accuracy"]] == [3, 6, 12]


def test_only_the_levels_that_are_there_are_found():
    """Features that tell the family alone leave its genera and species to chance within the family."""
    found = judged(features_of([TREE.path_of(label)[:1] for label in LABELS]))
    family, genus, species = found["level_accuracy"]
    assert family["value"] > 0.95
    assert genus["value"] == pytest.approx(1 / 2, abs=0.25)
    assert species["value"] == pytest.approx(1 / 4, abs=0.2)
    assert found["hca"]["high"] < 0.5


def test_shuffled_labels_leave_chance():
    """An interval misses chance once in twenty times, so not all of them have to hold it."""
    held = []
    for seed in range(6):
        shuffled = np.random.default_rng(seed).permutation(LABELS).tolist()
        found = judged(features_of([TREE.path_of(label) for label in LABELS], seed=seed), shuffled, seed)
        held += [one["low"] <= one["chance"] <= one["high"] for one in proportions(found)]
        assert found["leaf_accuracy"]["chance"] == pytest.approx(1 / 12, abs=0.02)
    assert np.mean(held) > 0.8


def test_the_test_part_changes_nothing_but_the_judgement():
    """Heads and weight decays are the same whatever the test part holds."""
    features = features_of([TREE.path_of(label) for label in LABELS], noise=2.0)
    targets = Targets.of(TREE, LABELS)
    parts = Split()(targets.kinds)
    spoilt = features.copy()
    spoilt[parts["test"]] = 1e3
    chosen = [
        [(level["decay"], level["validation"]) for level in probe(one, targets, parts, CPU)["level_accuracy"]]
        for one in (features, spoilt)
    ]
    assert chosen[0] == chosen[1]


def test_paths_are_right_where_all_levels_are_and_chance_is_that_of_answers_dealt_out_anew():
    found = judged(features_of([TREE.path_of(label) for label in LABELS], noise=3.0))
    levels = [one["value"] for one in found["level_accuracy"]]
    assert max(0, sum(levels) - 2) - 1e-9 <= found["hca"]["value"] <= min(levels) < 1
    assert found["hca"]["chance"] <= min(one["chance"] for one in found["level_accuracy"])


def test_ragged_paths_are_judged_as_far_as_they_go():
    labels = [label for label in RAGGED.labels.names for _ in range(10)]
    targets = Targets.of(RAGGED, labels)
    assert targets.classes.shape == (50, 3)
    assert (targets.classes == UNGRADED).sum(0).tolist() == [0, 10, 30]
    found = probe(features_of([RAGGED.path_of(one) for one in labels]), targets, Split()(targets.kinds), CPU)
    assert [one["n"] for one in found["level_accuracy"]] == [10, 8, 4]
    assert found["hca"]["value"] == found["leaf_accuracy"]["value"] == 1


def test_kinds_with_too_few_examples_are_left_out():
    labels = ["s000"] * 3 + ["s001"] * 2 + ["s010"] * 5
    assert Targets.of(TREE, labels).rows == (0, 1, 2, 5, 6, 7, 8, 9)
    with pytest.raises(DataError, match="fewer than two labels have 3 examples"):
        Targets.of(TREE, labels[:5])
    with pytest.raises(DataError, match="fewer than two inner nodes have 3 examples"):
        Targets.of(TREE, TREE.labels.names, above_leaves=True)


@given(
    times=st.lists(st.integers(3, 20), min_size=1, max_size=6),
    validation=st.floats(0.01, 0.49),
    test=st.floats(0.01, 0.49),
    seed=st.integers(0, 99),
)
def test_every_part_has_every_kind_and_nobody_stands_in_two(times, validation, test, seed):
    kinds = np.repeat(np.arange(len(times)), times)
    parts = Split(validation, test, seed)(kinds)
    assert sorted(np.concatenate([parts[part] for part in PARTS])) == list(range(len(kinds)))
    assert all(set(kinds[rows]) == set(kinds) for rows in parts.values())
    again = Split(validation, test, seed)(kinds)
    assert all((again[part] == parts[part]).all() for part in PARTS)


def test_features_come_back_in_the_order_asked_for_and_equal_contents_once(tmp_path):
    store = Store(tmp_path / "features")
    store.add([Subject("b", "same"), Subject("a", "other")], {"encoder": [np.full(2, 1.0), np.full(2, 2.0)]})
    store.add([Subject("c", "same"), Subject("d", "more")], {"encoder": [np.full(2, 3.0), np.full(2, 4.0)]})
    store.add([Subject("a", "other")], {"encoder": [np.full(2, 2.0)]})  # as after a kill before its record was written
    table = store.read(["d", "missing", "c", "a", "b"])
    assert [subject.id for subject in table.subjects] == ["d", "c", "a"]
    assert table.features["encoder"][:, 0].tolist() == [4, 3, 2]
    (tmp_path / "features" / "000001.safetensors").write_bytes(b"torn")
    with pytest.raises(RunDirectoryError, match="damaged"):
        store.read(["a"])


def probed(vlmkit_here, *more, data="glyphs:labels=4,images=60"):
    done = vlmkit_here("hierarchy", "probe", data, "--device", "cpu", "--json", *more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@define
class Arbitrary:
    """A backend with features that mean nothing."""

    identity: dict = field(factory=lambda: {"model": "arbitrary"})
    capabilities: frozenset[Capability] = frozenset(Capability)

    def answer(self, queries):
        return [arbitrary.answer(query) for query in queries]

    def close(self):
        pass


def test_an_interruption_while_a_batch_is_kept_writes_no_record_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(look, "TOGETHER", 4)
    examples = [Example(str(shade), (PIL.Image.new("RGB", (2, 2), (shade, 0, 0)),)) for shade in range(6)]

    def interrupt(record):
        if record.id == "1":
            raise KeyboardInterrupt

    def go(advance):
        with RunDirectory.open(tmp_path / "run", {"fingerprint": {}, "session": {}}) as files:
            strategy = look.Look(at=("projector",))
            look.look(strategy, Arbitrary(), examples, LabelSpace("ab"), files, in_flight=2, advance=advance)
            return [record.id for record in files.records()]

    with pytest.raises(KeyboardInterrupt):
        go(interrupt)
    assert go(lambda record: None) == [example.id for example in examples]
    table = Store(tmp_path / "run" / look.FOLDER).read([example.id for example in examples])
    assert len(table.subjects) == len(table.features["projector"]) == 6


def test_probes_read_what_the_embedded_model_sees_and_go_on_from_features_that_are_there(vlmkit_here, tmp_path):
    at = ("--at", "encoder,layer:-1")
    part, _ = probed(vlmkit_here, *at, "--output", "run", "--limit", "40")
    assert part["examples"] == 40
    whole, said = probed(vlmkit_here, *at, "--output", "run")
    assert "has the features of 40 examples" in said
    assert len(list((tmp_path / "run" / "features").iterdir())) == 2
    assert list(whole["sites"]) == ["encoder", "layer:-1"]
    assert [level["rank"] for level in whole["levels"]] == ["shape family", "shape", "textured shape", "glyph"]
    for found in whole["sites"].values():
        assert found["hca"]["low"] > found["hca"]["chance"]
    assert json.loads((tmp_path / "run" / "probe.json").read_text()) == whole
    shuffled, _ = probed(vlmkit_here, *at, "--output", "run", "--shuffle-labels")
    for found in shuffled["sites"].values():
        assert all(one["low"] <= one["chance"] <= one["high"] for one in proportions(found))
    table = vlmkit_here("hierarchy", "probe", "glyphs:labels=4,images=60", *at, "--output", "run")
    assert "shape family" in table.stdout and "chance" in table.stdout


def test_probes_of_text_judge_the_levels_above_unseen_leaves(vlmkit_here):
    found, _ = probed(vlmkit_here, "--text", "--output", "words", data="glyphs:labels=400")
    (site,) = found["sites"].values()
    assert found["over"] == "text" and len(site["level_accuracy"]) == 3
    assert site["level_accuracy"][0]["low"] > site["level_accuracy"][0]["chance"]
    assert sum(found["split"].values()) <= found["examples"] == 400


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "scripted"], "needs features, which scripted cannot do"),
        (["--text", "--sentence", "What is it?"], "has no place for the name"),
        (["--at", "retina"], "unknown site 'retina'"),
        (["--at", "layer:99"], "there is no layer:99"),
        (["--validation", "0.6", "--test", "0.5"], "leave nothing to train on"),
        (["--limit", "3"], "fewer than two labels have 3 examples"),
    ],
)
def test_what_cannot_be_probed_is_said_in_one_line(vlmkit_here, arguments, message):
    done = vlmkit_here("hierarchy", "probe", "glyphs:labels=4,images=12", "--output", "run", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr and "Traceback" not in done.stderr
