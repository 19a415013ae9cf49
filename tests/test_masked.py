"""Images that do not see each other in chosen layers, against dense masks on plain models of transformers."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache

import numpy as np
import PIL.Image
import pytest
import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from vlmkit import Choose, Generate, Image, Mask
from vlmkit.engine.models import build_backend
from vlmkit.errors import ModelError, SpecError
from vlmkit.local.masking import IMAGE_OF, TEXT, decoder_layers, image_of, masked, visual_counts
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing import check_strategy
from vlmkit.testing.models import shared_checkpoint
from vlmkit.testing.noise import noise
from vlmkit.testing.plain import Plain
from vlmkit.testing.situations import LABELS
from vlmkit.tokentree import Limits
from vlmkit.tokentree.isolation import Isolation
from vlmkit.tokentree.packing import Row, pack

TOLERANCE = 1e-4
"""Largest difference in log-probability, float32, nats."""

FAMILIES = [
    *("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe"),
    *("gemma3", "gemma4", "internvl", "llama4", "llava_onevision"),
]
BUILDER = Builder(PluginHost.load().registry)
IMAGES = tuple(noise(3))
QUERY = Choose(IMAGES, LABELS[:3])


def backend_of(name, **limits):
    backend = build_backend(str(shared_checkpoint(name)), BUILDER)
    backend.limits = Limits(**limits)
    return backend


@cache
def opened(name):
    """A family, which computes nothing but what a test asks for, and the plain model."""
    return backend_of(name).load(), Plain(shared_checkpoint(name))


def scores(backend, query, *masks):
    (ballot,) = backend.answer([evolve(query, interventions=masks)])
    return ballot.log_probs


def far(got, expected):
    return np.max(np.abs(np.subtract(got, expected)))


def owners(family, ids, images):
    """The image of every token; the frame of tiles belongs to their image."""
    counts = [family.picture(image, len(images) == 1).tokens for image in images]
    owner, image, seen = [], 0, 0
    for token in ids:
        visual = token == family.image_token
        inside = visual or 0 < seen < (counts[image] if image < len(counts) else 0)
        owner.append(image if inside else None)
        seen += visual
        if image < len(counts) and seen == counts[image]:
            image, seen = image + 1, 0
    return owner


@contextmanager
def dense(family, plain, images, layers, *, text):
    """The plain model with a mask of all pairs of tokens, written out, in each of the layers."""

    def see_ids(_, args, kwargs):
        owner = owners(family, kwargs["input_ids"][0].tolist(), images)
        hidden.clear()
        for query, own in enumerate(owner):
            for key, other in enumerate(owner):
                if own is not None and own != other and not (text and other is None):
                    hidden.append((query, key))

    def hide(_, args, kwargs):
        mask = kwargs["attention_mask"].clone()
        assert mask.dim() == 4 and mask.is_floating_point()
        skipped = mask.shape[3] - mask.shape[2]  # queries that nothing reads
        pairs = [(query - skipped, key) for query, key in hidden if query >= skipped]
        queries, keys = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).unbind(1)
        mask[:, :, queries, keys] = torch.finfo(mask.dtype).min
        return args, {**kwargs, "attention_mask": mask}

    hidden = []
    plain.model.set_attn_implementation("eager")
    hooks = [plain.model.register_forward_pre_hook(see_ids, with_kwargs=True)]
    stack = decoder_layers(plain.model)
    hooks += [stack[layer].self_attn.register_forward_pre_hook(hide, with_kwargs=True) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        plain.model.set_attn_implementation("sdpa")


@contextmanager
def watched(layers):
    """What every layer makes of the hidden states, [T, hidden]."""
    seen = []
    hooks = [layer.register_forward_hook(lambda _, __, out: seen.append(_first(out)[0].clone())) for layer in layers]
    yield seen
    for hook in hooks:
        hook.remove()


def _first(out):
    return out[0] if isinstance(out, tuple) else out


@torch.inference_mode()
def tree_states(family, query, layers, *, text):
    """The hidden states after every layer of a row of the whole prompt, masked."""
    pictures = [family.picture(image, len(query.images) == 1) for image in query.images]
    ids = family.expand(family.tokenize([family.chat(query.text, len(query.images))])[0], pictures)
    images = image_of(ids, family.image_token, [picture.tokens for picture in pictures])
    starts = list(range(len(ids)))
    if family.images_see_ahead:
        starts = [images.index(image) if image != TEXT else place for place, image in enumerate(images)]
    row = Row(
        owner=0,
        tokens=ids,
        ends=[len(ids)] * len(ids),
        positions=family.positions(ids, pictures),
        features=family.encode(pictures),
        starts=starts,
        isolation=Isolation(frozenset(layers), text, images) if layers else None,
    )
    packed = pack([row], family.device)
    with watched(family.layers) as states:
        family.forward(packed.ids, packed.positions, packed.features, packed.layout)
    return states, torch.tensor(images)


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("name", FAMILIES)
def test_masked_scores_equal_those_of_dense_masks(name, text):
    family, plain = opened(name)
    backend = backend_of(name)
    backend.load = lambda: family
    for layers in ("all", "0"):
        mask = Mask(layers, text=text)
        with dense(family, plain, IMAGES, mask.chosen(len(family.layers)), text=text):
            expected = plain.log_probs(QUERY)
        assert far(scores(backend, QUERY, mask), expected) < TOLERANCE
        assert far(scores(backend, QUERY), expected) > TOLERANCE


@pytest.mark.parametrize("name", FAMILIES)
def test_a_mask_is_live_in_every_layer_alone(name):
    family, plain = opened(name)
    free, images = tree_states(family, QUERY, (), text=True)
    count = len(family.layers)
    assert count > 1
    later = images > 0  # tokens of images with another one before them
    for layer in range(count):
        states, _ = tree_states(family, QUERY, {layer}, text=True)
        assert len(states) == count
        for before in range(layer):
            assert torch.equal(states[before], free[before])
        changed = (states[layer] - free[layer]).abs().amax(1)
        assert (changed[later] > 1e-5).any()
        assert (changed[images <= 0] < 1e-5).all()
        inputs, stack = plain.inputs(QUERY), decoder_layers(plain.model)
        with dense(family, plain, IMAGES, [layer], text=True), watched(stack) as expected, torch.inference_mode():
            plain.model(**inputs)
        for got, wanted in zip(states, expected, strict=True):
            assert (got - wanted).abs().max() < 1e-3 * wanted.abs().max()


@pytest.mark.parametrize("name", ["qwen3_vl", "gemma3", "llama4"])
def test_no_layer_is_no_mask(name):
    assert scores(backend_of(name), QUERY, Mask("none")) == scores(backend_of(name), QUERY)


@pytest.mark.parametrize("name", ["qwen3_vl", "gemma3", "llama4", "llava_onevision"])
def test_one_image_loses_sight_of_the_text_before_it_alone(name):
    query, backend = Choose(IMAGES[:1], LABELS[:4]), backend_of(name)
    free = scores(backend, query)
    assert far(scores(backend, query, Mask("all")), free) < 1e-5
    assert far(scores(backend, query, Mask("all", text=False)), free) > TOLERANCE


@pytest.mark.parametrize(("name", "text"), [("qwen3_vl", True), ("gemma3", False), ("llama4", False)])
def test_masks_stay_apart_whatever_goes_into_a_forward(name, text):
    masks = [(), (Mask("0", text),), (Mask("all", text),), (Mask("all", not text),)]
    queries = [evolve(one, interventions=mask) for one in (QUERY, Choose(IMAGES[1:], LABELS[2:4])) for mask in masks]
    apart = [scores(backend_of(name), query, *query.interventions) for query in queries]
    for limits in ({}, {"tokens": 70, "trunk_bytes": 1}):
        for got, expected in zip(backend_of(name, **limits).answer(queries), apart, strict=True):
            assert far(got.log_probs, expected) < TOLERANCE


def test_replies_are_those_of_dense_masks():
    family, plain = opened("qwen3_vl")
    mask = Mask("all", text=False)
    query = Generate(IMAGES, "Which one?", max_tokens=6, interventions=[mask])
    with dense(family, plain, IMAGES, mask.chosen(len(family.layers)), text=False):
        ids = plain.inputs(query)
        reply = []
        for _ in range(query.max_tokens):
            with torch.inference_mode():
                token = plain.model(**ids).logits[0, -1].argmax()
            if int(token) in family.end_tokens:
                break
            for key, tensor in ids.items():
                if tensor.shape == ids["input_ids"].shape and key != "input_ids":
                    ids[key] = torch.cat([tensor, tensor[:, -1:]], dim=1)
            ids["input_ids"] = torch.cat([ids["input_ids"], token.view(1, 1)], dim=1)
            reply.append(int(token))
    (text,) = backend_of("qwen3_vl").answer([query])
    assert reply and text.text == family.detokenize(reply)


@pytest.mark.parametrize("name", ["qwen3_vl", "gemma3", "gemma4", "internvl", "llava_onevision"])
@pytest.mark.parametrize(("attention", "text"), [("sdpa", True), ("eager", False)])
def test_the_mask_of_training_is_that_of_inference(name, text, attention):
    family, plain = opened(name)
    inputs = plain.inputs(QUERY)
    ids = inputs["input_ids"][0].tolist()
    images = torch.tensor([image_of(ids, family.image_token, visual_counts(ids, family.image_token, len(IMAGES)))])
    plain.model.set_attn_implementation(attention)
    for layers in ("all", "1"):
        mask = Mask(layers, text=text)
        expected, _ = tree_states(family, QUERY, mask.chosen(len(family.layers)), text=text)
        with masked(plain.model, mask), watched(decoder_layers(plain.model)) as states, torch.inference_mode():
            plain.model(**inputs, **{IMAGE_OF: images})
            free = plain.model(**inputs).logits
        for got, wanted in zip(states, expected, strict=False):
            assert (got - wanted).abs().max() < 1e-3 * wanted.abs().max()
        with torch.inference_mode():
            assert torch.equal(plain.model(**inputs).logits, free)


def test_a_model_of_cross_attention_has_nothing_to_mask():
    with pytest.raises(ModelError, match="images are no part of its sequence"):
        scores(backend_of("mllama"), QUERY, Mask())
    model = Plain(shared_checkpoint("mllama")).model
    with pytest.raises(ModelError, match="nothing to mask"), masked(model, Mask()):
        pass


def test_layers_that_are_not_there_and_second_masks_are_refused():
    with pytest.raises(SpecError, match="the model has no layer 23"):
        scores(backend_of("qwen3_vl"), QUERY, Mask("12-23"))
    with pytest.raises(SpecError, match="two masks"):
        scores(backend_of("qwen3_vl"), QUERY, Mask(), Mask("all"))


@pytest.mark.parametrize("layers", ["", "x", "3-1", "1,,2", "-1", "deep,1"])
def test_layers_that_cannot_be_read_are_refused(layers):
    with pytest.raises(SpecError, match="cannot be read"):
        BUILDER.strategy(f'masked:layers="{layers}"')


def test_the_strategy_asks_with_the_mask():
    strategy = BUILDER.strategy('masked:layers="0,3,5-7",text=false+dci:group_size=3')
    check_strategy(strategy)
    assert strategy.intervention.chosen(24) == {0, 3, 5, 6, 7}
    assert BUILDER.strategy("masked").intervention.chosen(24) == set(range(12, 24))
    assert BUILDER.strategy("masked").intervention.chosen(28) == set(range(14, 28))
    assert BUILDER.strategy("masked:layers=12-23").intervention.chosen(24) == set(range(12, 24))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 6))))
def test_separated_images_are_told_apart(parts):
    image, ids, expected = 7, [], []
    for index, (words, visual) in enumerate(parts):
        ids += [1] * (words + 1) + [image] * visual
        expected += [TEXT] * (words + 1) + [index] * visual
    counts = visual_counts(ids, image, len(parts))
    assert counts == [visual for _, visual in parts]
    assert image_of(ids, image, counts) == expected


def test_images_that_touch_are_told_apart_by_their_size_alone():
    assert visual_counts([1, 7, 7, 7, 7, 1, 7, 7], 7, 3) == [2, 2, 2]
    with pytest.raises(ModelError, match="do not tell"):
        visual_counts([1, 7, 7, 7, 7, 1, 7], 7, 3)


@pytest.mark.parametrize("reducer", ["pooled:factor=2", "fastv:keep=0.5,layer=2", "visionzip"])
@pytest.mark.parametrize("name", ["qwen3_vl", "internvl"])
def test_images_with_fewer_tokens_do_not_see_each_other_either(name, reducer):
    """What a trunk keeps of the second image does not depend on the first one; all text behind the first does."""
    change = BUILDER.strategy(reducer).intervention
    rng = np.random.default_rng(0)
    one, other, second = (Image(PIL.Image.fromarray(rng.integers(0, 255, (96, 96, 3), np.uint8))) for _ in range(3))
    backend, keys = backend_of(name), []
    for first in (one, other):
        query = evolve(QUERY, images=[first, second], interventions=[change, Mask("all", text=False)])
        backend.answer([query])
        trunk = backend._trunks.memory.get((first.digest, second.digest, *query.interventions))
        keys.append(torch.cat([piece.keys[1] for piece in trunk.pieces]))
        tokens = trunk.tokens
    same = (keys[0] == keys[1]).flatten(1).all(1).tolist()
    image = backend.load().image_token
    before = tokens.index(image)
    behind = next(place for place, token in enumerate(reversed(tokens)) if token == image)
    left = len(same) - before - behind
    assert same[:before] == [True] * before
    assert same[-behind:] == [False] * behind
    assert 0 < sum(same) - before < left
    assert same[-behind - (sum(same) - before) : -behind] == [True] * (sum(same) - before)
