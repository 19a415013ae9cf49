"""Trunks: what stands before the images is computed once, and pictures of like shape go through the tower together."""

from __future__ import annotations

import shutil

import numpy as np
import PIL.Image
import pytest

from vlmkit import Choose, Image
from vlmkit.engine.models import build_backend
from vlmkit.errors import ModelError
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing.models import RECIPES, shared_checkpoint
from vlmkit.testing.noise import noise, questions
from vlmkit.testing.plain import Plain
from vlmkit.testing.situations import LABELS
from vlmkit.tokentree import Limits, trunks
from vlmkit.tokentree.pictures import Pictures
from vlmkit.types import Tokens

TOLERANCE = 1e-4
"""Largest difference in log-probability, float32, nats."""

TREES = sorted(set(RECIPES) - {"idefics3", "qwen3_5"})
"""Families on token trees."""

SYSTEM = "<|im_start|>system\n" + "Name what you see, with care, and say no more than that. " * 3 + "<|im_end|>\n"


def backend_of(directory):
    return build_backend(str(directory), Builder(PluginHost.load().registry))


def with_template(name: str, folder, change):
    """Copy a checkpoint whose chat template is changed."""
    directory = shutil.copytree(shared_checkpoint(name), folder / name)
    template = directory / "chat_template.jinja"
    template.write_text(change(template.read_text()))
    return directory


def trunk_tokens(ballots) -> int:
    return sum((ballot.usage.tokens for ballot in ballots), Tokens()).trunk


@pytest.mark.parametrize("name", ["gemma3", "gemma4", "internvl", "llama4", "mllama", "qwen3_vl"])
def test_text_before_the_images_is_computed_once(name, tmp_path):
    directory = with_template(name, tmp_path, lambda template: SYSTEM + template)
    plain, backend = Plain(directory), backend_of(directory)
    queries = [Choose((image,), group) for image in noise(2) for group in (LABELS[:2], LABELS[2:4])]
    queries.append(Choose(tuple(noise(2)), LABELS[:2]))
    ballots = backend.answer(queries)
    for query, ballot in zip(queries, ballots, strict=True):
        assert np.max(np.abs(np.subtract(ballot.log_probs, plain.log_probs(query)))) < TOLERANCE
    alone = [[one for one in queries if one.images == images] for images in {query.images: None for query in queries}]
    apart = [trunk_tokens(backend_of(directory).answer(each)) for each in alone]
    family = backend.load()
    (ids,) = family.tokenize([plain.prompt(queries[0])])
    before = family.expand(ids, [family.picture(queries[0].images[0], True)]).index(family.image_token)
    # In mllama it sees the images.
    saved = 0 if name == "mllama" else before
    assert before >= trunks.WORTH_A_ROOT
    assert trunk_tokens(ballots) == sum(apart) - (len(apart) - 1) * saved
    assert trunk_tokens(backend.answer([Choose(noise(1, seed=5), LABELS)])) == (
        trunk_tokens(backend_of(directory).answer([Choose(noise(1, seed=5), LABELS)])) - saved
    )


def test_short_text_before_the_images_goes_with_each(tmp_path):
    directory = with_template("qwen3_vl", tmp_path, lambda template: "<|im_start|>system\nHm.<|im_end|>\n" + template)
    images = noise(2)
    one, other = ([Choose((image,), LABELS[:3])] for image in images)
    together = backend_of(directory).answer([*one, *other])
    assert trunk_tokens(together) == sum(trunk_tokens(backend_of(directory).answer(each)) for each in (one, other))


def test_words_before_the_images_are_refused(tmp_path):
    def turned(template: str) -> str:
        assert "message.content %}" in template
        return template.replace("for part in message.content %}", "for part in message.content | reverse %}")

    backend = backend_of(with_template("qwen3_vl", tmp_path, turned))
    with pytest.raises(ModelError, match="before its images"):
        backend.answer([Choose(noise(1), LABELS[:3]), Choose(noise(1), LABELS[3:6])])


def squares(count: int, side: int) -> list[Image]:
    rng = np.random.default_rng(side)
    return [Image(PIL.Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8))) for _ in range(count)]


def passes(backend, queries) -> list[int]:
    """Answer, and return how many pictures each pass of the vision tower took."""
    load, sizes = backend.load, []

    def watched():
        family = load()
        encode = family.encode

        def noted(pictures):
            assert len({picture.inputs["pixel_values"].shape[1:] for picture in pictures}) == 1
            sizes.append(len(pictures))
            return encode(pictures)

        family.encode = noted
        return family

    backend.load = watched
    backend.answer(queries)
    return sizes


@pytest.mark.parametrize("name", TREES)
def test_equal_pictures_go_through_the_tower_together(name, monkeypatch):
    queries = [Choose((image,), LABELS[:2]) for image in squares(12, 56)]
    assert passes(backend_of(shared_checkpoint(name)), queries) == [12]
    values = backend_of(shared_checkpoint(name)).load().picture(queries[0].images[0], True).inputs["pixel_values"]
    monkeypatch.setattr(trunks, "MAX_VALUES", 5 * values.numel())
    assert passes(backend_of(shared_checkpoint(name)), queries) == [5, 5, 2]


@pytest.mark.parametrize("name", TREES)
def test_features_of_a_batch_are_those_of_each_picture(name):
    family = backend_of(shared_checkpoint(name)).load()
    pictures = [family.picture(image, alone) for alone in (True, False) for image in (*squares(3, 56), *noise(3))]
    alike = {}
    for picture in pictures:
        alike.setdefault(picture.inputs["pixel_values"].shape[1:], []).append(picture)
    for several in alike.values():
        for picture, together in zip(several, family.encode(several), strict=True):
            (apart,) = family.encode([picture])
            assert together.embeds.shape == apart.embeds.shape
            tensors = zip((together.embeds, *together.deep), (apart.embeds, *apart.deep), strict=True)
            for one, other in tensors:
                np.testing.assert_allclose(one.float().cpu(), other.float().cpu(), atol=1e-4)


def test_pixels_wait_for_the_tower_within_their_bytes():
    queries = questions(noise(4))
    roomy, tight = backend_of(shared_checkpoint("qwen3_vl")), backend_of(shared_checkpoint("qwen3_vl"))
    tight.limits = Limits(pixel_bytes=1)
    assert passes(roomy, queries) == [4]
    assert passes(tight, queries) == [1, 1, 1, 1]
    for one, other in zip(roomy.answer(queries), tight.answer(queries), strict=True):
        np.testing.assert_allclose(one.log_probs, other.log_probs, atol=TOLERANCE)


def test_nothing_is_prepared_ahead_without_room_and_no_picture_outlives_its_image():
    family = backend_of(shared_checkpoint("qwen3_vl")).load()
    prepare, prepared = family.picture, []

    def noted(image, alone):
        prepared.append(image.digest)
        return prepare(image, alone)

    family.picture = noted
    first, second, third = ([image] for image in noise(3))
    pictures = Pictures(family, room=1)
    pictures.ahead(first)
    pictures.ahead(second)
    assert prepared == [first[0].digest]
    pictures.encoded(first)
    pictures.ahead(second)
    assert prepared == [first[0].digest, second[0].digest]
    (small,) = pictures.of(first)
    assert "pixel_values" not in small.inputs and "image_grid_thw" in small.inputs
    assert "pixel_values" in pictures.whole(first[0], small, True).inputs
    first.clear()
    second.clear()
    pictures.ahead(third)
    assert prepared[-1] == third[0].digest
