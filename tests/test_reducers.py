"""What reducers leave of an image, how they read attention, and that neighbours do not matter."""

from __future__ import annotations

import re
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForImageTextToText

from vlmkit import Choose, Generate, Label
from vlmkit.engine.models import build_backend
from vlmkit.errors import ModelError, SpecError
from vlmkit.local.bill import Bill
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing import check_strategy
from vlmkit.testing.models import RECIPES, shared_checkpoint
from vlmkit.testing.noise import noise
from vlmkit.testing.plain import Plain
from vlmkit.tokentree import Features, Limits, Visual
from vlmkit.tokentree.dry import DryBackend
from vlmkit.tokentree.packing import Row
from vlmkit.tokentree.reduction import Scene, reduced
from vlmkit.types import Usage
from vlmkit_mimic.reducers.fastv import FastV
from vlmkit_mimic.reducers.mean import Mean
from vlmkit_mimic.reducers.visionzip import VisionZip

TOLERANCE = 1e-4
"""Largest difference in log-probability, float32, nats."""

TREES = sorted(set(RECIPES) - {"idefics3", "qwen3_5"})
"""Families on token trees."""

REDUCERS = (Mean(3), Mean(4, positions="repack"), FastV(0.4, layer=1), VisionZip(2, 3))

BUILDER = Builder(PluginHost.load().registry)


def fresh(name):
    return build_backend(str(shared_checkpoint(name)), BUILDER)


def question(images, *names, **more):
    return Choose(images, [Label(name) for name in names], **more)


def close(one, other) -> bool:
    return bool(np.max(np.abs(np.subtract(one.log_probs, other.log_probs))) < TOLERANCE)


@given(
    reducer=st.builds(Mean, st.integers(1, 9))
    | st.builds(FastV, st.floats(0.01, 1.0))
    | st.builds(VisionZip, st.integers(0, 9), st.integers(1, 9)),
    count=st.integers(1, 40),
    seed=st.integers(0, 9),
)
@settings(max_examples=60)
def test_as_many_groups_are_made_as_promised(reducer, count, seed):
    rng = torch.Generator().manual_seed(seed)
    attention = torch.rand(count, generator=rng) if reducer.watches else None
    groups = reducer.groups(Visual(torch.randn(count, 4, generator=rng), attention))
    assert groups.shape == (count,) and groups.dtype == torch.int64
    assert len(set(groups.tolist()) - {-1}) == reducer.kept(count)


def test_the_last_group_is_the_mean_of_what_is_left():
    assert Mean(3).groups(Visual(torch.zeros(7, 1))).tolist() == [0, 0, 0, 1, 1, 1, 2]


def test_fastv_drops_what_gets_the_least_attention():
    attention = torch.tensor([0.1, 0.9, 0.5, 0.7, 0.5])
    assert FastV(0.5).groups(Visual(torch.zeros(5, 1), attention)).tolist() == [-1, 1, 2, 3, -1]


def test_visionzip_merges_by_likeness():
    tokens = torch.tensor([[1, 0], [9, 9], [0, 1], [1, 0.1], [0.1, 1], [8, -8]], dtype=torch.float32)
    # Tokens 1 and 5 dominate; of the others, 0 and 3 are the targets.
    assert VisionZip(dominant=2, contextual=2).groups(Visual(tokens)).tolist() == [0, 1, 3, 3, 3, 5]


class Odd(Mean):
    def groups(self, visual):
        return torch.tensor([7, -1, 7, 2, -1])


@pytest.mark.parametrize("positions", ["keep", "repack"])
def test_groups_stand_where_their_first_token_stood(positions):
    image = 9
    scene = Scene(
        [5, image, image, image, image, image, 6],
        torch.tensor([[0, 1, 1, 2, 2, 3, 4], [0, 1, 2, 1, 2, 1, 4]]),
        [Features(torch.arange(5.0)[:, None], deep=[torch.arange(5.0)[:, None] * 10])],
    )
    (found,) = reduced([scene], [[Odd(positions=positions)]], image, lambda scenes, layer: {})
    assert list(found.kept) == [0, 1, 4, 6]
    assert found.features[0].embeds.flatten().tolist() == [1.0, 3.0]
    assert found.features[0].deep[0].flatten().tolist() == [10.0, 30.0]
    kept = found.positions[:, list(found.kept)].tolist()
    assert kept == ([[0, 1, 2, 4], [0, 1, 2, 4]] if positions == "keep" else [[0, 1, 2, 3]] * 2)
    assert int(found.positions.max()) == kept[0][-1]


@pytest.mark.parametrize("name", sorted(set(TREES) - {"mllama"}))
@torch.inference_mode()
def test_attention_is_that_of_transformers(name):
    query = question(noise(2), "a")
    inputs = Plain(shared_checkpoint(name)).inputs(query)
    model = AutoModelForImageTextToText.from_pretrained(
        shared_checkpoint(name), dtype=torch.float32, attn_implementation="eager"
    )
    layers = model.eval()(**inputs, output_attentions=True).attentions
    backend = fresh(name)
    trunks = backend._ready()
    family, ids = trunks.family, inputs["input_ids"][0].tolist()
    pictures = [family.picture(image, False) for image in query.images]
    row = Row(
        0,
        ids,
        [len(ids)] * len(ids),
        family.positions(ids, pictures),
        features=[features for picture in pictures for features in family.encode([picture])],
        starts=trunks.starts(ids),
    )
    bill = Bill([Usage()])
    for layer in (1, 2):
        weights = layers[layer - 1][0].mean(0)
        even = (weights > 0).sum(1, keepdim=True)
        other = (weights > 0) & ~torch.eye(len(weights), dtype=torch.bool)
        expected = ((weights * even * other).sum(0) / other.sum(0)).nan_to_num(1.0)
        (found,) = trunks.executor.watch([row], layer, bill)
        np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert bill.usages[0].forwards == 2


@pytest.mark.parametrize("name", ["gemma3", "internvl", "llava_onevision", "mllama", "qwen3_vl"])
def test_neighbours_and_memory_change_no_score(name):
    images = noise(2)
    reducers = [one for one in REDUCERS if name != "mllama" or not one.watches]
    queries = [
        question(shown, *options, interventions=changes)
        for shown in (images, images[:1])
        for changes in ((), *((reducer,) for reducer in reducers), (Mean(2), VisionZip(1, 2)))
        for options in (("apple", "dog house"), ("oak", "red tulip", "a much longer name than that"))
    ]
    backend = fresh(name)
    together = backend.answer(queries)
    # What is shown alone may be cut in another way.
    assert sum(answer.usage.images_encoded for answer in together) in (2, 3)
    again = backend.answer(queries[::-1])[::-1]
    other = fresh(name)
    for query, one, two in zip(queries, together, again, strict=True):
        (alone,) = other.answer([query])
        assert close(one, alone) and close(two, alone)
    tight = fresh(name)
    tight.limits = Limits(tokens=32, trunk_bytes=1)
    for one, two in zip(together, tight.answer(queries), strict=True):
        assert close(one, two)


@pytest.mark.parametrize("reducer", REDUCERS, ids=lambda reducer: type(reducer).__name__)
@pytest.mark.parametrize("name", ["qwen3_vl", "internvl"])
def test_trunks_shrink_by_what_goes_and_plans_know_it(name, reducer):
    queries = [question(noise(2), "apple", "oak", interventions=changes) for changes in ((), (reducer,))]
    backend = fresh(name)
    whole, less = [answer.usage.tokens.trunk for answer in backend.answer(queries)]
    family = backend._family
    sizes = [family.picture(image, False).tokens for image in queries[0].images]
    assert whole - less == sum(sizes) - sum(map(reducer.kept, sizes)) > 0
    dry = DryBackend.of(backend)
    assert [answer.usage.tokens.trunk for answer in dry.answer(queries)] == [whole, less]
    assert dry.work.early == ([(1, ANY, ANY)] if reducer.watches else [])


@pytest.mark.parametrize("name", ["qwen3_vl", "llava_onevision"])
def test_replies_are_those_of_the_changed_model(name):
    images = noise(1)
    query = Generate(images, "What is this?", max_tokens=6, interventions=[Mean(5)])
    backend = fresh(name)
    (first,), (again,) = backend.answer([query]), backend.answer([query])
    assert first.text == again.text
    assert again.usage.tokens.trunk == 0
    (whole,) = backend.answer([evolve(query, interventions=())])
    assert whole.usage.tokens.trunk > 0


def test_attention_that_cannot_be_read_is_refused():
    with pytest.raises(ModelError, match="cross-attention"):
        fresh("mllama").answer([question(noise(1), "a", interventions=[FastV()])])
    with pytest.raises(SpecError, match="no layer 99 to watch; the model has"):
        fresh("qwen3_vl").answer([question(noise(1), "a", interventions=[FastV(layer=99)])])


def test_questions_without_images_have_nothing_to_lose():
    backend = fresh("qwen3_vl")
    whole, *reduced = backend.answer([question((), "a", "b", interventions=c) for c in ((), *((r,) for r in REDUCERS))])
    assert all(one.log_probs == whole.log_probs for one in reduced)


def test_the_page_shows_code_that_works():
    page = (Path(__file__).parents[1] / "docs" / "interventions.md").read_text(encoding="utf-8")
    shown: dict = {}
    for block in re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        exec(block, shown)
    strategy = shown["Halved"](BUILDER.strategy("flat"), step=3)
    check_strategy(strategy, free_questions=True)
    reducer = strategy.intervention
    assert reducer == shown["EveryOther"](3)
    groups = reducer.groups(Visual(torch.zeros(8, 1))).tolist()
    assert groups == [0, -1, -1, 3, -1, -1, 6, -1]
    assert reducer.kept(8) == 3
