"""Question banks: which options stand in a question, in what order, and what the command writes."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmkit import Example, Taxonomy
from vlmkit.errors import DataError
from vlmkit.testing.strategies import taxonomies
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_hierarchy.bank import Bank
from vlmkit_hierarchy.distractors import ImageSimilar, Places, TextSimilar
from vlmkit_hierarchy.generate import header, sheets
from vlmkit_hierarchy.levels import LevelNames
from vlmkit_hierarchy.sources import by_chance

SEEDS = st.integers(0, 2**32)


def examples(tree: Taxonomy, number: int) -> list[Example]:
    labels = tree.labels.names
    return [Example(f"{index}.png", (), labels[index % len(labels)]) for index in range(number)]


def by_kind(tree: Taxonomy, kind: str, seed: int, number: int = 40):
    places, rng = Places(LevelNames(tree)), random.Random(seed)
    source = by_chance(kind, examples(tree, number), places, rng)
    return list(sheets(source.examples, places, source.distractors, rng=rng))


@given(taxonomies(), st.sampled_from(["random", "sibling"]), SEEDS)
def test_each_level_with_a_choice_has_one_question_with_options_of_that_level(tree, kind, seed):
    levels = LevelNames(tree).levels
    for sheet in by_kind(tree, kind, seed):
        asked = [depth for depth in range(1, len(sheet.path) + 1) if len(levels[depth - 1]) > 1]
        assert [question.level for question in sheet.questions] == asked
        for question in sheet.questions:
            names = set(levels[question.level - 1].values())
            assert set(question.options) <= names
            assert len(set(question.options)) == len(question.options) == min(4, len(names))
            assert question.right == sheet.path[question.level - 1]


@given(taxonomies(), st.sampled_from(["random", "sibling"]), SEEDS)
def test_right_answers_stand_in_every_place_equally_often_at_each_level(tree, kind, seed):
    places: dict[int, Counter[int]] = {}
    for sheet in by_kind(tree, kind, seed):
        for question in sheet.questions:
            size = len(question.options)
            places.setdefault(question.level, Counter(dict.fromkeys(range(size), 0)))[question.answer] += 1
    for counts in places.values():
        assert max(counts.values()) - min(counts.values()) <= 1


@given(taxonomies(), SEEDS)
def test_no_node_left_out_is_nearer_kin_than_a_sibling_distractor(tree, seed):
    names = LevelNames(tree)
    for sheet in by_kind(tree, "sibling", seed):
        for question in sheet.questions:
            level = {name: node for node, name in names.levels[question.level - 1].items()}
            right = level[question.right]
            nearness = {name: len(tree.lowest_common_ancestor(right, node)) for name, node in level.items()}
            others = set(question.options) - {question.right}
            left_out = set(level) - set(question.options)
            if others and left_out:
                assert min(nearness[name] for name in others) >= max(nearness[name] for name in left_out)


def test_random_distractors_are_all_equally_likely():
    tree = Taxonomy([(name,) for name in "abcdefg"])
    asked = by_kind(tree, "random", 0, 7 * 300)
    drawn = Counter(name for sheet in asked for name in sheet.questions[0].options if sheet.path != (name,))
    # 7 x 300 questions draw 3 of 6 others each: 900 times each name, standard deviation 21.
    assert all(800 < times < 1000 for times in drawn.values())


@given(taxonomies(), st.sampled_from(["random", "sibling"]), SEEDS)
def test_the_same_seed_makes_the_same_bytes(tree, kind, seed):
    once, again = ([sheet.to_json() for sheet in by_kind(tree, kind, seed)] for _ in range(2))
    assert once == again


@given(taxonomies(), SEEDS)
def test_a_level_with_fewer_than_four_nodes_is_shown_whole_and_one_node_is_no_question(tree, seed):
    levels = LevelNames(tree).levels
    for sheet in by_kind(tree, "random", seed, 5):
        for question in sheet.questions:
            if len(levels[question.level - 1]) < 4:
                assert set(question.options) == set(levels[question.level - 1].values())
    stated = header(Places(LevelNames(tree)), data="x", distractors={}, seed=0)["levels"]
    assert [level["options"] for level in stated] == [min(4, len(names)) for names in levels]


GENUS = Taxonomy([("owl", "barn owl"), ("owl", "tawny owl"), ("crow", "raven"), ("crow", "jackdaw")])


def test_levels_below_an_inner_target_are_not_asked_about():
    places, rng = Places(LevelNames(GENUS)), random.Random(0)
    source = by_chance("random", [Example("a", (), "owl")], places, rng)
    (sheet,) = sheets(source.examples, places, source.distractors, rng=rng)
    assert (sheet.path, [question.level for question in sheet.questions]) == (("owl",), [1])


def test_an_image_without_a_target_is_refused_by_name():
    places, rng = Places(LevelNames(GENUS)), random.Random(0)
    source = by_chance("random", [Example("a.png", ())], places, rng)
    with pytest.raises(DataError, match=r"a\.png.*no target"):
        list(sheets(source.examples, places, source.distractors, rng=rng))


def all_nodes(names: LevelNames) -> list[tuple[str, ...]]:
    return [node for level in names.levels for node in level]


@given(taxonomies(), SEEDS, st.booleans())
def test_similar_distractors_are_the_most_alike_of_the_level(tree, seed, by_image):
    names = LevelNames(tree)
    places, nodes = Places(names), all_nodes(names)
    # Few distinct values, so that many are equally alike.
    matrix = np.random.default_rng(seed).integers(0, 5, (len(nodes), len(nodes))).astype(float)
    choose = ImageSimilar(places) if by_image else TextSimilar(places, matrix.__getitem__)
    for row, node in zip(matrix, nodes, strict=True):
        level = list(names.levels[len(node) - 1])
        alike = {place: row[nodes.index(other)] for place, other in enumerate(level) if other != node}
        best = sorted(alike, key=lambda place: (-alike[place], place))
        count = min(3, len(best))
        if count:
            assert list(choose(node, count, row if by_image else None)) == best[:count]


def read(path) -> tuple[dict, list[dict]]:
    first, *others = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return first, others


def test_the_command_writes_a_bank_that_opens_again(vlmkit_here, tmp_path):
    done = vlmkit_here("hierarchy", "questions", "glyphs:labels=30,images=12", "--output", "bank.jsonl", "--seed", 3)
    assert done.returncode == 0, done.stderr
    first, lines = read(tmp_path / "bank.jsonl")
    assert (first["seed"], first["distractors"], len(lines)) == (3, {"kind": "random"}, 12)
    assert [level["rank"] for level in first["levels"]] == ["shape family", "shape", "textured shape", "glyph"]
    bank = Bank.open(tmp_path / "bank.jsonl")
    assert bank.taxonomy == Glyphs(labels=30).taxonomy
    assert [json.loads(sheet.to_json()) for sheet in bank] == lines
    assert [json.loads(bank.sheet(line["image"]).to_json()) for line in lines] == lines


def test_another_seed_is_another_bank_and_a_limit_its_beginning(vlmkit_here, tmp_path):
    def made(*options: object) -> bytes:
        assert (
            vlmkit_here("hierarchy", "questions", "glyphs:labels=9,images=9", "--output", "b", *options).returncode == 0
        )
        return (tmp_path / "b").read_bytes()

    assert made() == made("--seed", 0) != made("--seed", 1)
    assert made().startswith(made("--limit", 4))


@pytest.fixture(scope="module", params=["clip", "siglip"])
def embedder(request, tmp_path_factory):
    """A small random two-tower checkpoint, as ``save_pretrained`` writes it."""
    from vlmkit.testing.models.two_towers import two_towers

    return two_towers(request.param, tmp_path_factory.mktemp(request.param))


def test_an_embedder_of_the_hub_is_told_by_its_commit(vlmkit, tmp_path, embedder):
    commit, home = "0123456789abcdef0123456789abcdef01234567", tmp_path / "hub" / "models--zoo--towers"
    shutil.copytree(embedder, home / "snapshots" / commit)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commit, encoding="utf-8")
    made = vlmkit(
        *("hierarchy", "questions", "glyphs:labels=6,images=1", "--output", "bank.jsonl"),
        *("--distractors", "text-similar", "--embedder", "zoo/towers", "--device", "cpu"),
        HF_HUB_CACHE=str(tmp_path / "hub"),
        HF_HUB_OFFLINE="1",
    )
    assert made.returncode == 0, made.stderr
    header, _ = read(tmp_path / "bank.jsonl")
    assert header["distractors"]["embedder"] == {"model": "zoo/towers", "weights": commit}


@pytest.mark.parametrize("kind", ["text-similar", "image-similar"])
def test_an_embedder_and_its_own_similarities_as_a_file_make_the_same_questions(vlmkit_here, tmp_path, embedder, kind):
    from vlmkit.data.images import open_image
    from vlmkit.local.embedder import Embedder

    data = Glyphs(labels=12, images=5)
    made = vlmkit_here(
        *("hierarchy", "questions", "glyphs:labels=12,images=5", "--output", "model.jsonl"),
        *("--distractors", kind, "--embedder", embedder, "--device", "cpu"),
    )
    assert made.returncode == 0, made.stderr
    model = Embedder.load(embedder, "cpu")
    names = [node[-1] for node in all_nodes(LevelNames(data.taxonomy))]
    texts = model.texts([f"a photo of a {name}." for name in names])
    assert np.allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)
    asking = texts if kind == "text-similar" else model.images([open_image(one.images[0]) for one in data])
    np.save(tmp_path / "alike.npy", asking @ texts.T)
    again = vlmkit_here(
        *("hierarchy", "questions", "glyphs:labels=12,images=5", "--output", "file.jsonl"),
        *("--distractors", kind, "--similarity", "alike.npy"),
    )
    assert again.returncode == 0, again.stderr
    by_model, by_file = read(tmp_path / "model.jsonl"), read(tmp_path / "file.jsonl")
    assert by_model[0]["distractors"]["embedder"]["model"] == embedder.name
    assert by_file[0]["distractors"] == {"kind": kind, "similarity": "alike.npy"}
    assert by_model[1] == by_file[1]


def test_image_similar_questions_differ_between_images_of_one_label(vlmkit_here, tmp_path, embedder):
    vlmkit_here(
        *("hierarchy", "questions", "glyphs:labels=40,images=80", "--output", "b.jsonl"),
        *("--distractors", "image-similar", "--embedder", embedder, "--device", "cpu"),
    )
    options: dict[str, set[frozenset[str]]] = {}
    for line in read(tmp_path / "b.jsonl")[1]:
        options.setdefault(line["path"][-1], set()).add(frozenset(line["questions"][-1]["options"]))
    assert any(len(sets) > 1 for sets in options.values())


WRONG = {
    "another tree": (("--taxonomy", "tree.csv"), "is no node of the taxonomy"),
    "no tree": (("--taxonomy", "none.csv"), "there is no file or folder none.csv"),
    "no measure": (("--distractors", "text-similar"), "text-similar distractors need one measure"),
    "no use for one": (("--similarity", "alike.npy"), "random distractors look at no likeness"),
    "no such file": (("--distractors", "text-similar", "--similarity", "none.npy"), "none.npy cannot be read"),
    "another shape": (("--distractors", "image-similar", "--similarity", "alike.npy"), "is 2x3 float64, expected 5x"),
    "no model": (("--distractors", "text-similar", "--embedder", "."), "embedder . cannot be loaded"),
    "no place for names": (
        ("--distractors", "text-similar", "--embedder", ".", "--template", "a photo"),
        "has no place for the name",
    ),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_request_is_one_line_and_writes_nothing(vlmkit_here, tmp_path, options, message):
    np.save(tmp_path / "alike.npy", np.zeros((2, 3)))
    (tmp_path / "tree.csv").write_text("family,bird\nowl,barn owl\ncrow,raven\n", encoding="utf-8")
    done = vlmkit_here("hierarchy", "questions", "glyphs:labels=9,images=5", "--output", "b.jsonl", *options)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert message in done.stderr
    assert not (tmp_path / "b.jsonl").exists()


def test_pictures_without_a_taxonomy_are_told_what_they_lack(vlmkit_here):
    vlmkit_here("glyphs", "draw", "pictures", "--labels", 3, "--images", 3)
    done = vlmkit_here("hierarchy", "questions", "pictures", "--output", "b.jsonl")
    assert (done.returncode, "comes without a taxonomy; give one: --taxonomy" in done.stderr) == (2, True)


SHEET = {"image": "a", "path": ["owl"], "questions": [{"level": 1, "options": ["owl", "crow"], "answer": "A"}]}
QUESTION = SHEET["questions"][0]
DAMAGED = {
    "broken JSON": ('{"image": ', "line 2: broken JSON at column 10"),
    "no object": ("[]", "line 2: it is no JSON object"),
    "no image": ({**SHEET, "image": None}, "line 2: image is no text"),
    "no path": ({key: value for key, value in SHEET.items() if key != "path"}, "line 2: path is missing"),
    "text for a list": ({**SHEET, "path": "owl"}, "line 2: path is no list of texts"),
    "letters": ({**SHEET, "questions": [{**QUESTION, "answer": "AB"}]}, "line 2: 'AB' is no letter"),
    "no such answer": ({**SHEET, "questions": [{**QUESTION, "answer": "C"}]}, "line 2: the answer is none of"),
    "twice": ({**SHEET, "questions": [{**QUESTION, "options": ["owl", "owl"]}]}, "line 2: a question has 2 to 26"),
    "not the path's": (
        {**SHEET, "questions": [{**QUESTION, "answer": "B"}]},
        "line 2: at level 1 the answer is 'crow'",
    ),
    "too deep": ({**SHEET, "questions": [{**QUESTION, "level": 2}]}, "line 2: questions at the levels [2]"),
}


@pytest.mark.parametrize(("line", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_line_is_named_with_its_place(tmp_path, line, message):
    first = header(Places(LevelNames(GENUS)), data="x", distractors={}, seed=0)
    text = line if isinstance(line, str) else json.dumps(line)
    path = tmp_path / "bank.jsonl"
    path.write_text(f"{json.dumps(first)}\n{text}\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        Bank.open(path)
    assert message in caught.value.message and str(path) in caught.value.message


def test_what_is_no_bank_is_told_apart(tmp_path):
    path = tmp_path / "bank.jsonl"
    path.write_text(json.dumps(SHEET), encoding="utf-8")
    with pytest.raises(DataError, match="does not begin with the header"):
        Bank.open(path)
    with pytest.raises(DataError, match="no such file"):
        Bank.open(tmp_path / "none.jsonl")


@pytest.mark.slow
def test_a_million_questions_take_less_than_two_minutes_and_no_more_memory_than_a_few():
    import subprocess
    import sys
    from pathlib import Path

    script = Path(__file__).parents[1] / "benchmarks" / "question_bank.py"
    done = subprocess.run([sys.executable, str(script), "--json"], capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout)
    assert measured["questions"] >= 1_000_000
    assert measured["processor_seconds"] < 120  # other work on the machine is none of ours
    assert measured["further_mib"] < 8
