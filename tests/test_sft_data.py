"""``vlmkit hierarchy sft-data``: conversations in the very words of an evaluation, and what becomes of pictures."""

from __future__ import annotations

import json

import PIL.Image
import pytest

from vlmkit.data.images import open_image
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_train.conversations import Conversations

DATA = "glyphs:labels=30,images=3"


@pytest.fixture
def bank(vlmkit_here, tmp_path):
    """Images and their questions, as the file has them."""
    assert vlmkit_here("hierarchy", "questions", DATA, "--output", "bank.jsonl").returncode == 0
    _, *lines = map(json.loads, (tmp_path / "bank.jsonl").read_text(encoding="utf-8").splitlines())
    return lines


@pytest.fixture
def written(vlmkit_here, tmp_path, bank):
    def write(*options):
        done = vlmkit_here("hierarchy", "sft-data", "bank.jsonl", "--output", "sft.jsonl", *options)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in (tmp_path / "sft.jsonl").read_text(encoding="utf-8").splitlines()]

    return write


@pytest.mark.parametrize("readout", ["letter", "likelihood"])
@pytest.mark.parametrize("mode", ["image", "text"])
def test_the_words_are_those_of_an_evaluation(mode, readout, written, bank, vlmkit_here, tmp_path):
    lines = written("--mode", mode, "--readout", readout)
    asked = ("hierarchy", "eval", "bank.jsonl", "--mode", mode, "--readout", readout, "--output", "eval", "--quiet")
    assert vlmkit_here(*asked).returncode == 0
    samples = [json.loads(line) for line in (tmp_path / "eval" / "samples.jsonl").read_text().splitlines()]
    prompts = [sample["prompt"] for sample in samples]
    words = [line["conversations"][0]["value"].removeprefix("<image>\n") for line in lines]
    assert len(words) == len(prompts) == len({line["id"] for line in lines})
    assert all(text in prompt for text, prompt in zip(words, prompts, strict=True))
    questions = [question for sheet in bank for question in sheet["questions"]]
    right = [one["answer"] for one in questions]
    if readout == "likelihood":
        right = [one["options"]["ABCD".index(one["answer"])] for one in questions]
    if mode == "image":
        assert [line["conversations"][1]["value"] for line in lines] == right
    else:
        assert not any("images" in line for line in lines)
        assert all(line["conversations"][0]["value"].startswith("Given the ") for line in lines)
        assert len(lines) == len(right) - len(bank)  # the text gives the leaf away


def test_drawn_pictures_are_written_beside_and_training_reads_all(written, tmp_path):
    lines = written()
    data = Conversations.open(tmp_path / "sft.jsonl")
    assert len(data) == len(lines)
    drawn = {open_image(example.images[0]).digest for example in Glyphs(labels=30, images=3)}
    assert {open_image(path).digest for one in data for path in one.images} == drawn
    assert {path.parent for one in data for path in one.images} == {tmp_path / "sft"}


def test_files_stay_where_they_are(vlmkit_here, tmp_path):
    for name in ("red plain ring", "blue plain star"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        PIL.Image.new("RGB", (9, 9)).save(tmp_path / "photos" / name / "1.png")
    paths = {"red plain ring": ["round", "red plain ring"], "blue plain star": ["pointed", "blue plain star"]}
    (tmp_path / "tree.json").write_text(json.dumps(paths))
    questions = ("hierarchy", "questions", "photos", "--taxonomy", "tree.json", "--output", "bank.jsonl")
    done = vlmkit_here(*questions)
    assert done.returncode == 0, done.stderr
    (tmp_path / "out").mkdir()
    assert vlmkit_here("hierarchy", "sft-data", "bank.jsonl", "--output", "out/sft.jsonl").returncode == 0
    data = Conversations.open(tmp_path / "out" / "sft.jsonl")
    assert {path.resolve() for one in data for path in one.images} == set((tmp_path / "photos").glob("*/1.png"))
    assert not (tmp_path / "out" / "sft").exists()


def test_what_cannot_be_asked_is_one_line(vlmkit_here, bank):
    for options, message in [
        (("--data", "glyphs:labels=30,images=1"), "the data set lacks 2 of the 3 images"),
        (("--output", "gone/sft.jsonl"), "cannot be written"),
    ]:
        done = vlmkit_here("hierarchy", "sft-data", "bank.jsonl", "--output", "sft.jsonl", *options)
        assert done.returncode == 2
        assert message in done.stderr and done.stderr.count("\n") == 1
