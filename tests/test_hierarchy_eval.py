"""Judging paths: banks put to models, runs of strategies, and anyone's answers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmkit import Choose, Label, Letter, Likelihood, Taxonomy
from vlmkit.engine.models import build_backend
from vlmkit.registry import Builder, PluginHost
from vlmkit.taxonomy import write_taxonomy
from vlmkit.testing.models import shared_checkpoint
from vlmkit.testing.plain import Plain
from vlmkit.testing.server import FakeServer, Said
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_glyphs.names import path
from vlmkit_hierarchy.letters import first_letter_anywhere_v1, letter_anchored_v1

REPLIES = {
    "A": (0, 0),
    " B.\n": (1, 1),
    "(C)": (2, 2),
    "**D**": (3, 3),
    "'B'": (1, 1),
    "B. barn owl": (1, 1),
    "C: crow, or A": (2, 0),
    "Answer: C": (2, 0),
    "The answer is B.": (1, 1),
    "the correct option is (D)": (3, 3),
    "A barn owl": (None, 0),
    "Barn owl": (None, 1),
    "I think it is B": (None, 1),
    "E": (None, None),
    "b": (None, None),
    "AB": (None, 0),
    "": (None, None),
}


@pytest.mark.parametrize(("reply", "places"), REPLIES.items())
def test_letters_are_read_as_each_parser_says(reply, places):
    assert (letter_anchored_v1(reply, 4), first_letter_anywhere_v1(reply, 4)) == places


@given(st.text("ABCDZab is:.()"), st.integers(2, 26))
def test_no_reply_names_an_option_that_is_not_there(reply, options):
    for parser in (letter_anchored_v1, first_letter_anywhere_v1):
        place = parser(reply, options)
        assert place is None or 0 <= place < options


@pytest.fixture
def bank(vlmkit_here, tmp_path):
    """A bank of 6 images and its lines."""
    done = vlmkit_here("hierarchy", "questions", "glyphs:labels=40,images=6", "--output", "bank.jsonl")
    assert done.returncode == 0, done.stderr
    _, *lines = map(json.loads, (tmp_path / "bank.jsonl").read_text(encoding="utf-8").splitlines())
    return lines


def results_of(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def values(metrics):
    return {name: figure["value"] for name, figure in metrics.items() if isinstance(figure, dict)}


def lines_of(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_the_embedded_model_answers_a_bank(vlmkit_here, bank, tmp_path):
    asked = (
        "hierarchy",
        "eval",
        "bank.jsonl",
        "--readout",
        "likelihood",
        "--device",
        "cpu",
        "--output",
        "run",
        "--json",
    )
    results = results_of(vlmkit_here(*asked))
    assert results["n"] == {"total": 6, "done": 6, "failed": 0}
    assert results["usage"]["queries"] == 6 * 4 and results["usage"]["images_encoded"] == 6
    # It was trained to choose at every level; by chance this would be 1/3 x 1/4 x 1/4 x 1/4.
    assert results["metrics"]["hca"]["value"] >= 0.5
    assert results["metrics"]["path_validity"]["n"] == 6
    assert json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["metrics"] == results["metrics"]


def test_an_evaluation_goes_on_where_it_ended_and_asks_nothing_twice(vlmkit_here, bank, tmp_path):
    asked = ("hierarchy", "eval", "bank.jsonl", "--model", "scripted", "--output", "run", "--json")
    assert results_of(vlmkit_here(*asked, "--limit", 4))["n"]["done"] == 4
    predictions = tmp_path / "run" / "predictions.jsonl"
    before = predictions.read_bytes()
    whole = before.splitlines(keepends=True)
    predictions.write_bytes(b"".join(whole[:3]) + whole[3][:20])
    done = vlmkit_here(*asked)
    assert "3 images are done" in done.stderr and "torn line" in done.stderr
    assert predictions.read_bytes().startswith(b"".join(whole[:3]))
    at_once = results_of(vlmkit_here(*asked[:-2], "other", "--json"))
    assert results_of(done)["metrics"] == at_once["metrics"]
    refused = vlmkit_here(*asked, "--mode", "text")
    assert (refused.returncode, "strategy.mode was" in refused.stderr) == (2, True)


def test_cached_answers_are_replayed(vlmkit_here, bank):
    asked = ("hierarchy", "eval", "bank.jsonl", "--model", "scripted", "--cache=kept.sqlite", "--json", "--output")
    first, again = (results_of(vlmkit_here(*asked, output)) for output in ("first", "again"))
    assert first["metrics"] == again["metrics"]
    assert (first["usage"]["cached"], again["usage"]["cached"]) == (0, first["usage"]["queries"])


def test_a_picture_that_cannot_be_read_fails_alone_and_is_asked_about_again(vlmkit_here, tmp_path):
    vlmkit_here("glyphs", "draw", "pictures", "--labels", 6, "--images", 6)
    labels = (tmp_path / "pictures" / "labels.txt").read_text(encoding="utf-8").splitlines()
    write_taxonomy(Taxonomy(map(path, labels)), tmp_path / "tree.json")
    vlmkit_here("hierarchy", "questions", "pictures", "--taxonomy", "tree.json", "--output", "bank.jsonl")
    broken = next((tmp_path / "pictures").rglob("*.png"))
    sound = broken.read_bytes()
    broken.write_bytes(sound[:50])
    asked = ("hierarchy", "eval", "bank.jsonl", "--model", "scripted", "--output", "run", "--json")
    done = vlmkit_here(*asked)
    assert (done.returncode, "1 of 6 images failed" in done.stderr) == (1, True)
    assert json.loads(done.stdout)["metrics"]["hca"]["n"] == json.loads(done.stdout)["n"]["done"] == 5
    broken.write_bytes(sound)
    assert results_of(vlmkit_here(*asked))["n"] == {"total": 6, "done": 6, "failed": 0}


def test_an_evaluation_of_which_every_image_failed_has_no_figures(vlmkit_here, install_plugin, bank):
    install_plugin("mute", CHATTY.replace("chatty", "mute").replace("return [Text", "1 / 0; return [Text"))
    model = ("--model", "mute", "--readout", "generate")
    # Fewer than would end the run early.
    asked = ("hierarchy", "eval", "bank.jsonl", *model, "--limit", "4", "--output", "run", "--json")
    done = vlmkit_here(*asked)
    results = json.loads(done.stdout)
    assert (done.returncode, results["n"]) == (1, {"total": 4, "done": 0, "failed": 4})
    assert results["metrics"]["hca"] is None and results["metrics"]["level_accuracy"] == []
    assert "HCA" in vlmkit_here(*asked[:-1]).stdout


def test_text_mode_shows_no_image_and_fills_the_leaf_in(vlmkit_here, bank, tmp_path):
    asked = (
        "hierarchy",
        "eval",
        "bank.jsonl",
        "--mode",
        "text",
        "--readout",
        "likelihood",
        "--device",
        "cpu",
        "--json",
    )
    filled = results_of(vlmkit_here(*asked, "--output", "filled"))
    assert (filled["usage"]["queries"], filled["usage"]["images_encoded"]) == (6 * 3, 0)
    assert filled["metrics"]["leaf_accuracy"]["value"] == 1
    leaf = bank[0]["path"][-1]
    first = lines_of(tmp_path / "filled" / "samples.jsonl")[0]
    assert f"Given the {leaf}, what is its shape family?" in first["prompt"]
    whole = results_of(vlmkit_here(*asked, "--no-autofill-leaf", "--output", "whole"))
    assert whole["usage"]["queries"] == 6 * 4
    levels = [run["metrics"]["level_accuracy"][:3] for run in (filled, whole)]
    assert levels[0] == levels[1]


@pytest.mark.parametrize("recipe", ["qwen3_vl", "mllama", "idefics3"])
def test_scores_without_an_image_are_those_of_plain_forwards(recipe):
    checkpoint = shared_checkpoint(recipe)
    backend = build_backend(str(checkpoint), Builder(PluginHost.load().registry), device="cpu", dtype="float32")
    options = [Label("owl"), Label("barn owl"), Label("crow")]
    queries = [
        Choose((), options[:number], readout=readout) for number in (2, 3) for readout in (Letter(), Likelihood())
    ]
    for query, ballot in zip(queries, backend.answer(queries), strict=True):
        assert ballot.log_probs == pytest.approx(Plain(checkpoint).log_probs(query), abs=1e-4)
    backend.close()


SERVER = "openai:model=fake,logprobs=yes,token_ids=no,choices=none,length=max_tokens,greedy=yes,base_url="


@pytest.mark.parametrize("readout", ["letter", "generate"])
def test_a_server_is_asked_without_an_image_too(vlmkit_here, monkeypatch, bank, readout):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    seen = []

    def always_b(asked):
        seen.append(asked)
        return Said("B", {"A": -3.0, "B": -0.1, "C": -4.0, "D": -5.0} if asked.letters else {})

    with FakeServer(answer=always_b) as server:
        model = SERVER + server.base_url
        asked = ("hierarchy", "eval", "bank.jsonl", "--mode", "text", "--no-autofill-leaf", "--model", model)
        results = results_of(vlmkit_here(*asked, "--readout", readout, "--output", "run", "--json"))
    assert {one.images for one in seen} == {()}
    assert values(results["metrics"])["por"] == pytest.approx(share_right(bank, "B"))


CHATTY = '''
from attrs import frozen
from vlmkit import Text, Usage, hookimpl

@frozen
class Chatty:
    """Says "Answer: " and the same letter to everything."""

    letter: str = "B"
    identity = {"model": "chatty"}
    capabilities = frozenset({"generate"})

    def answer(self, queries):
        return [Text(f"Answer: {self.letter}", prompt=query.text, usage=Usage(queries=1)) for query in queries]

    def close(self):
        pass

@hookimpl
def vlmkit_register(registry):
    registry.adapter("chatty", "chatty:Chatty", summary="Says one letter")
'''


def share_right(bank, letter):
    answers = [question["answer"] for line in bank for question in line["questions"]]
    return answers.count(letter) / len(answers)


def test_generated_text_is_judged_by_both_parsers_by_name(vlmkit_here, install_plugin, bank):
    install_plugin("chatty", CHATTY)
    asked = ("hierarchy", "eval", "bank.jsonl", "--model", "chatty", "--readout", "generate", "--json")
    results = results_of(vlmkit_here(*asked, "--output", "run"))
    assert results["parser"] == "letter-anchored-v1"
    assert values(results["metrics"])["por"] == pytest.approx(share_right(bank, "B"))
    legacy = results["other_parsers"]["first-letter-anywhere-v1"]
    assert values(legacy)["por"] == pytest.approx(share_right(bank, "A"))
    again = results_of(vlmkit_here(*asked, "--parser", "first-letter-anywhere-v1", "--output", "legacy"))
    assert again["metrics"] == legacy
    assert again["other_parsers"]["letter-anchored-v1"] == results["metrics"]


def write_lines(file, *lines):
    file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines), "utf-8")


@pytest.mark.parametrize("form", ["letters", "path"])
def test_answers_from_anywhere_are_judged(vlmkit_here, bank, tmp_path, form):
    def right(line):
        return [question["answer"] for question in line["questions"]] if form == "letters" else line["path"]

    answers = [{"id": line["image"], form: right(line)} for line in bank]
    answers[0][form] = [None, *answers[0][form][1:]]
    answers[1][form] = [*answers[1][form][:-1], None]
    write_lines(tmp_path / "answers.jsonl", *answers)
    results = results_of(vlmkit_here("hierarchy", "eval", "bank.jsonl", "--predictions", "answers.jsonl", "--json"))
    assert results["n"] == {"total": 6, "done": 6}
    found = values(results["metrics"])
    assert found["hca"] == pytest.approx(4 / 6) and found["leaf_accuracy"] == pytest.approx(5 / 6)
    assert found["s_por_prefix"] == pytest.approx((0 + 3 / 4 + 4) / 6)
    assert found["unanswered"] == pytest.approx(2 / 24)


def test_predicted_paths_need_no_bank(vlmkit_here, tmp_path):
    data = Glyphs(labels=40, images=4)
    write_taxonomy(data.taxonomy, tmp_path / "tree.json")
    paths = [data.taxonomy.path_of(example.target) for example in data]
    write_lines(
        tmp_path / "answers.jsonl",
        {"id": "0", "target": paths[0][-1], "path": paths[0]},
        {"id": "1", "target": [None, *paths[1][1:]], "path": ["wrong, but not graded", *paths[1][1:]]},
        {"id": "2", "target": paths[2], "path": [name.upper() for name in paths[2]]},
        {"id": "3", "target": paths[3], "path": paths[3][:2]},
    )
    asked = ("hierarchy", "eval", "--predictions", "answers.jsonl", "--taxonomy", "tree.json", "--json")
    assert values(results_of(vlmkit_here(*asked))["metrics"])["hca"] == 0.5
    found = results_of(vlmkit_here(*asked, "--ignore-case", "--count-root"))
    assert found["grading"] == {"count_root": True, "ignore_case": True}
    assert values(found["metrics"])["hca"] == 0.75
    assert values(found["metrics"])["por"] == pytest.approx((1 + 1 + 1 + 3 / 5) / 4)


@pytest.mark.parametrize("strategy", ["flat", "tree", "tree:descend=flat-by-level"])
def test_a_run_of_any_strategy_is_judged_by_its_own_taxonomy(vlmkit_here, tmp_path, strategy):
    asked = ("run", "glyphs:labels=40,images=30", "--model", "scripted", "--strategy", strategy, "--output", "run")
    assert vlmkit_here(*asked).returncode == 0
    results = results_of(vlmkit_here("hierarchy", "eval", "--run", "run", "--json"))
    records = lines_of(tmp_path / "run" / "predictions.jsonl")
    metrics = results["metrics"]
    assert results["n"] == {"total": 30, "done": 30, "failed": 0}
    assert results["usage"]["queries"] == sum(record["usage"]["queries"] for record in records)
    assert metrics["leaf_accuracy"]["value"] == pytest.approx(sum(record["correct"] for record in records) / 30)
    # Off the tree a right leaf has a right path; answers about each level by itself do not fit together.
    consistent = strategy != "tree:descend=flat-by-level"
    assert (metrics["hca"] == metrics["leaf_accuracy"]) == consistent
    assert (metrics["path_validity"]["value"] == 1) == consistent
    assert "HCA" in vlmkit_here("hierarchy", "eval", "--run", "run").stdout


MALFORMED = {
    "broken": ('{"id": ', "answers.jsonl, line 2: broken JSON at column 7"),
    "no id": ({"path": []}, "line 2: id is missing"),
    "unknown image": ({"id": "nobody", "path": []}, "line 2: 'nobody' is no image of bank.jsonl"),
    "no answer": ({"id": "IMAGE"}, "line 2: path is missing"),
    "no list": ({"id": "IMAGE", "path": "owl"}, "line 2: path is no list of texts and nulls"),
    "too few": ({"id": "IMAGE", "letters": ["A"]}, "line 2: 1 letters for 4 questions; give one a question"),
    "no letter": ({"id": "IMAGE", "letters": ["A", "A", "A", "AB"]}, "line 2: 'AB' is no letter of 4 options"),
    "no option": ({"id": "IMAGE", "letters": ["D", "A", "A", "A"]}, "line 2: 'D' is no letter of 3 options"),
    "both": ({"id": "IMAGE", "letters": ["A"] * 4, "path": []}, "line 2: it has both path and letters"),
    "twice": ({"id": "FIRST", "path": []}, "stands there and in line 1"),
}


@pytest.mark.parametrize(("line", "message"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_answer_is_one_line_that_names_it(vlmkit_here, bank, tmp_path, line, message):
    if isinstance(line, dict):
        ids = {"IMAGE": bank[1]["image"], "FIRST": bank[0]["image"]}
        line = {**line, **({"id": ids.get(line["id"], line["id"])} if "id" in line else {})}
    write_lines(tmp_path / "answers.jsonl", {"id": bank[0]["image"], "path": []}, line)
    done = vlmkit_here("hierarchy", "eval", "bank.jsonl", "--predictions", "answers.jsonl")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert message in done.stderr


WRONG = {
    "nothing": ((), "nothing to judge"),
    "no taxonomy": (("--predictions", "bank.jsonl"), "no taxonomy to judge by"),
    "no run": (("--run", "nowhere", "--taxonomy", "tree.json"), "nowhere holds no run"),
    "two": (("--run", "nowhere", "--predictions", "bank.jsonl"), "are two things to judge"),
    "two trees": (("bank.jsonl", "--predictions", "x", "--taxonomy", "tree.json"), "come with their own taxonomy"),
    "other images": (("bank.jsonl", "--data", "glyphs:labels=9,images=3"), "lacks 6 of the 6 images"),
    "no bank": (("other.jsonl",), "does not begin with the header"),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_request_is_one_line(vlmkit_here, bank, tmp_path, options, message):
    write_taxonomy(Glyphs(labels=40).taxonomy, tmp_path / "tree.json")
    write_lines(tmp_path / "other.jsonl", {"id": "a"})
    done = vlmkit_here("hierarchy", "eval", *options)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert message in done.stderr
