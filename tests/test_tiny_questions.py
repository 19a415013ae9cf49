"""The second stage of the embedded model's training: questions of data sets about several images."""

import json
import random
from collections import Counter

import pytest
import torch
from click.testing import CliRunner
from transformers import AutoModelForImageTextToText, AutoProcessor

from vlmkit import Example
from vlmkit.cli.main import cli
from vlmkit.errors import DataError
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_glyphs.training import loop
from vlmkit_glyphs.training import train as module
from vlmkit_glyphs.training.batches import Encoder, grids
from vlmkit_glyphs.training.dialogues import Dialogue, Dialogues
from vlmkit_glyphs.training.processor import build_processor
from vlmkit_glyphs.training.questions import ask
from vlmkit_glyphs.training.recipe import Recipe
from vlmkit_glyphs.training.train import STATE, train
from vlmkit_glyphs.training.vision import attend_all_pictures_at_once
from vlmkit_mimic.dataset import Mimic

SMALL = {"batch_size": 8, "images_per_leaf": 1, "warmup_steps": 5, "share_questions": 1.0}


def vlmkit(*arguments):
    return CliRunner().invoke(cli, [*map(str, arguments)], catch_exceptions=False)


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    path = tmp_path_factory.mktemp("mimic") / "train.jsonl"
    done = vlmkit("mimic", "build", "glyphs:pictures=300", "--images", "1..3", "--items", "2", "--output", path)
    assert done.exit_code == 0, done.output
    return path


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A model that has hardly begun the first stage."""
    directory = tmp_path_factory.mktemp("first") / "model"
    train(Recipe(steps=3, batch_size=4, images_per_leaf=1), directory, device="cpu")
    return directory


@pytest.fixture(scope="module")
def trained(first, benchmark, tmp_path_factory):
    """That model after a few steps on questions alone."""
    directory = tmp_path_factory.mktemp("questions") / "model"
    options = [part for name, value in SMALL.items() for part in (f"--{name.replace('_', '-')}", value)]
    questions = f"mimic:file={benchmark}"
    given = ["--start", first, "--questions", questions, "--output", directory, "--device", "cpu"]
    done = vlmkit("glyphs", "train", *given, "--steps", 30, *options)
    assert done.exit_code == 0, done.output
    return directory


def dialogues(benchmark, processor):
    return Dialogues.read([Mimic(benchmark)], processor, torch.device("cpu"))


def loss(directory, benchmark):
    """The loss over answers to questions of one number of images, as the training has it."""
    processor = AutoProcessor.from_pretrained(directory)
    model = AutoModelForImageTextToText.from_pretrained(directory)
    known = dialogues(benchmark, processor)
    found = []
    for images, asked in known.sets[0].items():
        batch = Encoder(processor, images).encode(asked)
        mask = (batch.input_ids == processor.image_token_id).int()
        with torch.no_grad():
            logits = model(input_ids=batch.input_ids, mm_token_type_ids=mask, **known.images(asked)).logits
        found.append(torch.nn.functional.cross_entropy(logits.flatten(0, 1)[batch.read_at], batch.answers).item())
    return sum(found) / len(found)


def test_a_few_steps_lower_the_loss(first, trained, benchmark):
    assert loss(trained, benchmark) < 0.6 * loss(first, benchmark)


def test_every_word_of_the_questions_is_one_token_and_no_token_moves(first, trained, benchmark):
    before = AutoProcessor.from_pretrained(first).tokenizer
    after = AutoProcessor.from_pretrained(trained).tokenizer
    assert before.get_vocab().items() <= after.get_vocab().items()
    for item in Mimic(benchmark):
        words = after.backend_tokenizer.pre_tokenizer.pre_tokenize_str(item.question)
        assert len(after(item.question)["input_ids"]) == len(words)
        assert after.decode(after(item.question)["input_ids"]) == item.question
    for seed in range(50):
        text = ask(Recipe(), 12, random.Random(seed)).text
        assert before(text)["input_ids"] == after(text)["input_ids"]


def test_the_model_has_room_for_the_words(trained):
    model = AutoModelForImageTextToText.from_pretrained(trained)
    tokens = len(AutoProcessor.from_pretrained(trained).tokenizer)
    assert model.get_input_embeddings().num_embeddings == model.config.text_config.vocab_size == tokens
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_training_says_what_it_started_from_and_asked(first, trained, benchmark):
    facts = json.loads((trained / "training.json").read_text())
    assert facts["questions"] == [f"mimic:file={benchmark}"]
    assert facts["start"] == json.loads((first / "training.json").read_text())
    assert facts["steps_done"] == 30
    assert not (trained / STATE).exists()


@pytest.mark.parametrize("images", [1, 2, 3])
def test_training_reads_what_the_processor_makes(benchmark, images):
    processor = build_processor()
    known = dialogues(benchmark, processor)
    asked = known.sets[0][images][:2]
    (example, *_) = [item for item in Mimic(benchmark) if item.question == asked[0].text and len(item.images) == images]
    content = [*({"type": "image", "image": one} for one in example.images), {"type": "text", "text": example.question}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    batch = Encoder(processor, images).encode(asked)
    prompt = inputs["input_ids"][0].tolist()
    assert batch.input_ids[0, : len(prompt)].tolist() == prompt
    shown = known.images(asked[:1])
    assert torch.equal(shown["image_grid_thw"], inputs["image_grid_thw"])
    assert torch.equal(shown["pixel_values"], inputs["pixel_values"].to(torch.bfloat16))


def test_a_draw_has_one_number_of_images(benchmark):
    known = dialogues(benchmark, build_processor())
    rng = random.Random(0)
    numbers = [{len(one.pictures) for one in known.draw(6, rng)} for _ in range(40)]
    assert all(len(each) == 1 for each in numbers)
    assert set.union(*numbers) == {1, 2, 3}


def test_draws_favour_no_data_set_however_few_numbers_of_images_it_has():
    def of(name, *numbers):
        return {images: [Dialogue(name, "answer", tuple(range(images)))] for images in numbers}

    known = Dialogues(torch.empty(0), [of("all", 1, 2, 3, 4), of("some", 3, 4)])
    rng = random.Random(0)
    drawn = Counter((one.text, len(one.pictures)) for _ in range(4000) for one in known.draw(2, rng))
    shares = {
        name: sum(n for (text, _), n in drawn.items() if text == name) / drawn.total() for name in ("all", "some")
    }
    assert shares == pytest.approx({"all": 0.5, "some": 0.5}, abs=0.03)
    assert {key for key in drawn if key[0] == "some"} == {("some", 3), ("some", 4)}
    assert drawn["all", 1] / drawn.total() == pytest.approx(1 / 8, abs=0.02)


def test_the_tower_reads_many_pictures_in_one_call_as_one_by_one(first, benchmark):
    processor, model = AutoProcessor.from_pretrained(first), AutoModelForImageTextToText.from_pretrained(first)
    pictures = dialogues(benchmark, processor).patches[:5].float().flatten(0, 1)
    inputs = {"pixel_values": pictures, "image_grid_thw": grids(5)}
    before = model.model.get_image_features(**inputs).pooler_output
    attend_all_pictures_at_once(model)
    after = model.model.get_image_features(**inputs).pooler_output
    assert len(before) == len(after) == 5
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_a_training_that_was_cut_off_goes_on(benchmark, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "REPORT_EVERY", 1)
    monkeypatch.setattr(loop, "SAVE_EVERY", 2)
    recipe = Recipe(steps=6, **{**SMALL, "share_questions": 0.5})
    run = {"questions": {"q": Mimic(benchmark)}, "device": "cpu"}
    train(recipe, tmp_path / "whole", **run)

    def cut_off(line):
        if line.startswith("step      5"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "cut", **run, report=cut_off)
    lines = []
    train(recipe, tmp_path / "cut", **run, report=lines.append)
    assert any("step 4" in line for line in lines)
    assert not any(line.startswith("step      4") for line in lines)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut")]
    assert weights[0] == weights[1]


def test_another_training_does_not_go_on(benchmark, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "REPORT_EVERY", 1)
    monkeypatch.setattr(loop, "SAVE_EVERY", 1)

    def cut_off(line):
        if line.startswith("step      2"):
            raise KeyboardInterrupt

    recipe = Recipe(steps=3, batch_size=2, images_per_leaf=1)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path, device="cpu", report=cut_off)
    with pytest.raises(DataError, match="another recipe"):
        train(Recipe(steps=3, batch_size=3, images_per_leaf=1), tmp_path, device="cpu")
    with pytest.raises(DataError, match="start or questions"):
        train(recipe, tmp_path, questions={"q": Mimic(benchmark)}, device="cpu")


def test_a_limit_that_drawing_has_used_up_leaves_one_step(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LEAST", 1e-3)
    recipe = Recipe(steps=40, batch_size=2, images_per_leaf=1)
    train(recipe, tmp_path, device="cpu", limit_minutes=1e-6)
    assert json.loads((tmp_path / "training.json").read_text())["steps_done"] == 1


def test_data_without_questions_is_refused(tmp_path):
    with pytest.raises(DataError, match="no question"):
        vlmkit("glyphs", "train", "--questions", "glyphs:labels=2,images=1", "--output", tmp_path)


def test_pictures_must_be_square(tmp_path):
    picture = next(iter(Glyphs())).images[0].resize((60, 30))
    with pytest.raises(DataError, match="not square"):
        Dialogues.read([[Example("a", (picture,), "b", "c")]], build_processor(), torch.device("cpu"))


def test_an_empty_data_set_is_refused():
    with pytest.raises(DataError, match="no question to train on"):
        Dialogues.read([[]], build_processor(), torch.device("cpu"))
