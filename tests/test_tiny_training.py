import json
import random

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForImageTextToText, AutoProcessor

from vlmkit.types.labels import NONE_NAME
from vlmkit_glyphs.commands import glyphs
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_glyphs.names import LEAVES, LEVELS
from vlmkit_glyphs.training.batches import Encoder
from vlmkit_glyphs.training.processor import build_processor
from vlmkit_glyphs.training.questions import ask
from vlmkit_glyphs.training.recipe import Recipe

RUN = ["--steps", "3", "--batch-size", "4", "--images-per-leaf", "1", "--device", "cpu"]


def trained(directory, *options):
    result = CliRunner().invoke(glyphs, ["train", "--output", str(directory), *RUN, *options])
    assert result.exit_code == 0, result.output
    return directory


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def processor():
    return build_processor()


def weights(directory):
    return (directory / "model.safetensors").read_bytes()


def conversation(picture):
    content = [{"type": "image", "image": picture}, {"type": "text", "text": "Which one?"}]
    return [{"role": "user", "content": content}]


def test_the_directory_is_an_ordinary_checkpoint(directory):
    model = AutoModelForImageTextToText.from_pretrained(directory)
    loaded = AutoProcessor.from_pretrained(directory)
    picture = next(iter(Glyphs())).images[0]
    inputs = loaded.apply_chat_template(
        conversation(picture), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    assert (inputs["input_ids"] == model.config.image_token_id).sum() == 9
    assert torch.isfinite(model(**inputs).logits).all()
    assert model.dtype is torch.float32
    assert 1_000_000 < model.num_parameters() < 2_000_000
    assert model.generate(**inputs).shape[1] <= inputs["input_ids"].shape[1] + 16


def test_training_says_what_it_did(directory):
    facts = json.loads((directory / "training.json").read_text())
    assert facts["recipe"]["steps"] == facts["steps_done"] == facts["curve"][-1]["step"] == 3
    assert facts["curve"][-1]["loss"] > 0


def test_the_seed_settles_the_weights(directory, tmp_path):
    assert weights(trained(tmp_path / "again")) == weights(directory)
    assert weights(trained(tmp_path / "other", "--seed", "1")) != weights(directory)


def test_a_senseless_recipe_is_a_usage_error(tmp_path):
    result = CliRunner().invoke(glyphs, ["train", "--output", str(tmp_path), "--steps", "0"])
    assert result.exit_code == 2
    assert "steps" in result.output


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_the_tokenizer(processor, text):
    assert processor.tokenizer.decode(processor.tokenizer(text)["input_ids"]) == text


def test_each_word_of_a_name_is_one_token_at_the_start_of_a_line_and_after_a_blank(processor):
    for name in [name for level in LEVELS.values() for name in level]:
        words = len(name.split())
        assert len(processor.tokenizer(name)["input_ids"]) == words
        assert len(processor.tokenizer(f" {name}")["input_ids"]) == words


def test_the_chat_template_keeps_the_order_of_the_parts(processor):
    content = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": "x"}, {"type": "text", "text": "b"}]
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": content}]
    assert processor.tokenizer.apply_chat_template(
        messages, chat_template=processor.chat_template, tokenize=False, add_generation_prompt=True
    ) == (
        "<|im_start|>system\ns<|im_end|>\n"
        "<|im_start|>user\na<|vision_start|><|image_pad|><|vision_end|>b<|im_end|>\n<|im_start|>assistant\n"
    )


def test_training_reads_what_the_processor_makes(processor):
    question = ask(Recipe(), 5, random.Random(3))
    batch = Encoder(processor).encode([question])
    content = [{"type": "image", "image": next(iter(Glyphs())).images[0]}, {"type": "text", "text": question.text}]
    prompt = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True, return_dict=True
    )["input_ids"][0]
    whole = batch.input_ids[0].tolist()
    assert whole[: len(prompt)] == list(prompt)
    assert whole[len(prompt) :] == batch.answers.tolist()
    assert processor.tokenizer.decode(batch.answers) == question.answer + "<|im_end|>"
    assert batch.read_at.tolist() == list(range(len(prompt) - 1, len(whole) - 1))


@given(st.integers(2, 24), st.integers())
def test_the_answer_is_always_on_the_list_unless_none_is_allowed(options, seed):
    question = ask(Recipe(share_none=0.0, share_inner=0.5), options, random.Random(seed))
    assert question.answer in question.text.splitlines()


@given(st.integers(2, 24), st.integers())
def test_none_is_right_just_where_the_answer_is_missing(options, seed):
    question = ask(Recipe(share_none=1.0, share_inner=0.0, share_kin=0.0), options, random.Random(seed))
    shown = [line for line in question.text.splitlines() if line in LEAVES]
    assert len(shown) == options - (question.answer == NONE_NAME)
    assert (question.glyph.leaf in shown) == (question.answer != NONE_NAME)


@given(st.integers(2, 24), st.integers())
def test_kin_differ_in_two_attributes_at_most(options, seed):
    question = ask(Recipe(share_kin=1.0, share_none=0.0, share_inner=0.0), options, random.Random(seed))
    shown = [line.split() for line in question.text.splitlines() if line in LEAVES]
    assert len(shown) <= options
    assert sum(len(set(words)) > 1 for words in zip(*shown, strict=True)) <= 2


@given(st.integers(2, 24), st.integers())
def test_a_letter_points_at_the_answer(options, seed):
    question = ask(Recipe(share_letter=1.0, share_none=0.0, share_inner=0.0), options, random.Random(seed))
    assert f"{question.answer}. {question.glyph.leaf}" in question.text.splitlines()
