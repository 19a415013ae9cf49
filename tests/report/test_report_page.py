"""The page of a report: what it says, and that nothing in a run can act on its reader."""

import base64
import hashlib
import io
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmkit.report.page import script_json
from vlmkit.runs import StoredRun

CSS = Path(__file__).parents[2] / "vlmkit" / "report" / "assets" / "report.css"


@pytest.fixture(scope="module")
def pages(place, call, opened, evil):
    """A page about one run, and one about three."""
    one, three = place / "one.html", place / "three.html"
    assert call("report", place / "scored", "--output", one, "--brackets", "3") == 0
    assert call("report", place / "scored", place / "paper", place / "few", "--output", three, "--title", evil[0]) == 0
    return opened(one), opened(three)


def test_a_page_needs_and_loads_nothing(pages):
    for page in pages:
        addresses = [*page.all("src"), *page.all("href"), *page.all("action"), *page.all("srcset")]
        assert all(address.startswith("#") for address in addresses)
        assert not {"link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
        assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
        assert not page.all("style")
        (style,) = [text for tag, _, text in page.blocks if tag == "style"]
        assert "url(" not in style and "@import" not in style


def test_the_policy_allows_the_own_script_and_style_alone(pages):
    for page in pages:
        (policy,) = [a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        (script,) = [text for tag, a, text in page.blocks if tag == "script" and a["type"] == "module"]
        (style,) = [text for tag, _, text in page.blocks if tag == "style"]
        assert rules == {
            "default-src": "'none'",
            "script-src": f"'{digest(script)}'",
            "style-src": f"'{digest(style)}'",
            "img-src": "data:",
            "base-uri": "'none'",
            "form-action": "'none'",
        }


def digest(text):
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def test_labels_ids_and_titles_are_text_wherever_they_stand(pages, evil):
    label, id_ = evil
    for page in pages:
        scripts = [attributes["type"] for tag, attributes, _ in page.blocks if tag == "script"]
        assert scripts == [*["application/json"] * 3, "module"]
        assert not [tag for tag, _ in page.tags if tag == "img"]
        data = page.block("examples")
        assert label in data["labels"]
        assert id_ in [example["id"] for example in data["runs"][0]["examples"]]
    assert label in pages[1].text


def test_a_page_is_sound_for_those_who_do_not_see_it(pages):
    for page in pages:
        ids = page.all("id")
        assert len(ids) == len(set(ids))
        named = [name for names in page.all("aria-labelledby") for name in names.split()]
        assert set(named) <= {*ids, "details-title"}  # the dialog's title comes with its content
        assert set(page.all("list")) <= set(ids)
        assert next(attributes for tag, attributes in page.tags if tag == "html")["lang"] == "en"
        pictures = [attributes for tag, attributes in page.tags if tag == "svg"]
        assert all("aria-hidden" in drawn or "aria-labelledby" in drawn for drawn in pictures)


@given(
    st.recursive(
        st.text() | st.none() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_json_in_a_script_reads_back_and_cannot_end_it(value):
    text = str(script_json(value))
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")


def test_the_figures_are_those_of_the_results(pages, place):
    one, three = pages
    metrics = StoredRun.read(place / "scored").results["metrics"]
    assert f"{metrics['accuracy']['value']:.1%}" in one.text
    assert f"{metrics['accuracy']['low']:.1%} to {metrics['accuracy']['high']:.1%}" in one.text
    for name in ("scored", "paper", "few"):
        assert f"{StoredRun.read(place / name).results['metrics']['accuracy']['value']:.1%}" in three.text
    for survival in metrics["gold_survival"]:
        assert f"{survival['low']:.1%} to {survival['high']:.1%}" in one.text


def test_examples_are_those_of_the_records(pages, place):
    data = pages[0].block("examples")
    labels, (run,) = data["labels"], data["runs"]
    for example, record in zip(run["examples"], StoredRun.read(place / "scored").records(), strict=True):
        assert example["id"] == record.id
        assert labels[example["target"]] == record.target
        assert (labels[example["label"]] if "label" in example else None) == record.label
        assert [labels[number] for number, _ in example.get("ranking", [])] == [name for name, _ in record.ranking]
        assert [one[:3] for one in example.get("rounds", [])] == [
            [one.candidates, one.queries, one.survivors] for one in record.trace
        ]
    assert Counter(example["outcome"] for example in run["examples"])["failed"] == 1
    failed = next(example for example in run["examples"] if example["outcome"] == "failed")
    assert "broken.png" in failed["error"] and "picture" not in failed
    assert run["paths"][str(labels.index("lynx"))] == ["mammal", "lynx"]


def test_every_outcome_is_told_from_the_others(pages):
    run = pages[1].block("examples")["runs"][1]
    outcomes = {example["outcome"] for example in run["examples"]}
    assert {"wrong", "none", "failed"} <= outcomes


def test_brackets_are_the_samples_of_those_examples_that_went_wrong_first(pages, place):
    data, (kept,) = pages[0].block("examples"), pages[0].block("brackets")
    labels, examples = data["labels"], data["runs"][0]["examples"]
    samples = list(StoredRun.read(place / "scored").samples())
    wrong = [number for number, example in enumerate(examples) if example["outcome"] == "wrong"]
    assert len(kept) == 3 and set(map(int, kept)) <= set(wrong)
    for number, rounds in kept.items():
        asked = [sample for sample in samples if sample["id"] == examples[int(number)]["id"]]
        shown = [(place, question) for place, questions in enumerate(rounds) for question in questions]
        assert [place for place, _ in shown] == [sample["round"] for sample in asked]
        for (_, question), sample in zip(shown, asked, strict=True):
            assert [labels[option] for option in question["options"]] == sample["options"]
            assert labels[question["choice"]] == sample["choice"]
            assert question["scores"] == pytest.approx(sample["log_probs"], abs=0.006)


def test_replies_and_answers_without_a_choice_are_kept(pages):
    paper = pages[1].block("brackets")[1]
    questions = [question for rounds in paper.values() for asked in rounds for question in asked]
    assert {question.get("outcome") for question in questions} == {None, "none", "invalid"}
    assert all(question["reply"] for question in questions if "choice" not in question)
    assert pages[1].block("brackets")[2] == {}  # that run logged none


def test_thumbnails_are_small_pictures_of_what_went_wrong_first(pages, place, tmp_path, call, opened):
    shown = pages[0].block("pictures")
    assert len(shown) == 20
    small = PIL.Image.open(io.BytesIO(base64.b64decode(shown[0][0].removeprefix("data:image/jpeg;base64,"))))
    assert (small.format, small.size) == ("JPEG", (128, 64))
    page = tmp_path / "few.html"
    assert call("report", place / "scored", "--output", page, "--thumbnails", 3, "--thumbnail-size", 32) == 0
    few = opened(page)
    examples = few.block("examples")["runs"][0]["examples"]
    assert {example["outcome"] for example in examples if "picture" in example} == {"wrong"}
    assert call("report", place / "scored", "--output", page, "--thumbnails", "none", "--brackets", "none") == 0
    none = opened(page)
    assert (none.block("pictures"), none.block("brackets")) == ([], [{}])


def test_pictures_that_moved_are_found_with_data(place, tmp_path, capsys, call, opened):
    shutil.copytree(place / "scored", tmp_path / "run")
    manifest = tmp_path / "run" / "manifest.json"
    manifest.write_text(manifest.read_text().replace(str(place / "data.jsonl"), str(tmp_path / "gone.jsonl")))
    page = tmp_path / "page.html"
    assert call("report", tmp_path / "run", "--output", page) == 0
    assert "--data says where they are now" in capsys.readouterr().err
    assert opened(page).block("pictures") == []
    assert call("report", tmp_path / "run", "--output", page, "--data", place / "data.jsonl") == 0
    assert len(opened(page).block("pictures")) == 20


def test_several_runs_have_names_and_curves_of_their_own(pages, place):
    names = [run["name"] for run in pages[1].block("examples")["runs"]]
    assert names == [
        "dci:group_size=4, 10 labels",
        "dci:group_size=4,policy=paper, 10 labels",
        "dci:group_size=4, 12 labels",
    ]
    assert "Accuracy over the number of labels" in pages[1].text
    assert "10 labels" in pages[1].text and "12 labels" in pages[1].text
    assert "Accuracy over" not in pages[0].text


def test_a_run_at_work_is_reported_as_far_as_it_is(place, tmp_path, capsys, call, opened):
    shutil.copytree(place / "scored", tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    predictions = tmp_path / "run" / "predictions.jsonl"
    lines = predictions.read_bytes().splitlines(keepends=True)
    predictions.write_bytes(b"".join(lines[:5]) + lines[5][:9])
    page = tmp_path / "page.html"
    assert call("report", tmp_path / "run", "--output", page) == 0
    assert "is unfinished: 5 examples" in capsys.readouterr().err
    assert "is unfinished: 5 examples so far" in opened(page).text
    predictions.write_bytes(b"")
    assert call("report", tmp_path / "run", "--output", page) == 0
    assert "is unfinished: 0 examples so far" in opened(page).text


def test_texts_stand_out_from_their_ground_in_both_themes():
    colours = dict(re.findall(r"--([\w-]+): light-dark\((#\w{6}, #\w{6})\)", CSS.read_text()))
    inks = ("ink", "quiet", "accent", "right", "wrong", "none", "failed", "unjudged")
    for theme in (0, 1):
        of = {name: luminance(pair.split(", ")[theme]) for name, pair in colours.items()}
        for ground in ("paper", "raised"):
            assert all(contrast(of[ink], of[ground]) >= 4.5 for ink in inks)
        assert all(contrast(of[f"series-{number}"], of["paper"]) >= 3 for number in range(6))


def luminance(colour):
    """The relative luminance of WCAG 2.2."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)
