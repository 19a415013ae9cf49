"""Features: they are those of a plain forward, at every site, whatever else is in the call."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest
import torch

from vlmkit import Capability, Encode, Encoding, Example, Label
from vlmkit.engine import Exchange, Solved
from vlmkit.engine.models import build_backend
from vlmkit.errors import BackendError, ServerError, SpecError
from vlmkit.registry import Builder, PluginHost
from vlmkit.runs.samples import sample_lines
from vlmkit.testing.models import RECIPES, shared_checkpoint
from vlmkit.testing.noise import noise
from vlmkit.testing.plain import Plain
from vlmkit.testing.server import FakeServer, Said
from vlmkit.tokentree import Limits, TokenTreeBackend
from vlmkit.types import Choose
from vlmkit_adapters.openai import ServerBackend

BUILDER = Builder(PluginHost.load().registry)
TREES = [
    name for name in RECIPES if BUILDER.registry.adapter_for(name) not in (None, BUILDER.registry.adapter_for("other"))
]
"""The families that run on token trees."""

STATES = ("layer:0", "layer:1", "layer:2", "layer:-1")
WORDS = "Given the cat flea, what is its order?"


def backend_of(name: str) -> TokenTreeBackend:
    return build_backend(str(shared_checkpoint(name)), BUILDER, device="cpu", dtype="float32")


def assert_same(one, other):
    assert one.features.keys() == other.features.keys()
    for site, vector in one.features.items():
        assert vector.dtype == np.float32
        np.testing.assert_allclose(vector, other.features[site], rtol=1e-4, atol=1e-5)


def plain_states(plain: Plain, query: Encode) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return the states [tokens, hidden] after each number of layers, by transformers, and the prompt's ids."""
    inputs = plain.inputs(query)
    with torch.inference_mode():
        states = [one[0] for one in plain.model(**inputs, output_hidden_states=True).hidden_states]
    text = plain.model.config.get_text_config()
    if not query.images and (crossings := getattr(text, "cross_attention_layers", None)):
        # transformers leaves out the layers that text skips: they hand on what they got.
        ran = [index not in crossings for index in range(text.num_hidden_layers)]
        states = [states[count] for count in accumulate(ran, initial=0)]
    return states, inputs["input_ids"][0]


FORKED = [name for name in RECIPES if name not in TREES]
"""The families that run on forks of their own cache."""


@pytest.mark.parametrize("name", [*TREES, *FORKED])
def test_features_are_those_of_a_plain_forward(name):
    backend, plain = backend_of(name), Plain(shared_checkpoint(name))
    first, second, third = noise(3)
    queries = [
        Encode((first,), at=STATES),
        Encode((second, third), WORDS, at=STATES, pool="last"),
        Encode((third,), WORDS, at=STATES, over="text"),
        Encode((), WORDS, at=STATES, over="text"),
    ]
    answers = backend.answer(queries)
    image_token = plain.processor.image_token_id if name in FORKED else backend._family.image_token
    for query, answer in zip(queries, answers, strict=True):
        states, ids = plain_states(plain, query)
        chosen = (ids == image_token) == (query.over == "image")
        for site, vector in answer.features.items():
            tokens = states[int(site.partition(":")[2])][chosen]
            expected = tokens[-1] if query.pool == "last" else tokens.mean(0)
            np.testing.assert_allclose(vector, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TREES)
def test_neighbours_budgets_and_questions_beside_never_change_a_feature(name):
    backend, tight = backend_of(name), backend_of(name)
    tight.limits = Limits(tokens=1, trunk_bytes=1)
    images = noise(3)
    sites = ("encoder", "projector", *STATES)
    queries = [Encode((image,), at=sites) for image in images] + [Encode(images, at=sites)]
    choose = Choose(images[:1], (Label("cat"), Label("dog")))
    *together, _ = backend.answer([*queries, choose])
    assert not np.allclose(together[0].features["encoder"], together[1].features["encoder"])
    for query, answer in zip(queries, together, strict=True):
        assert_same(answer, backend.answer([query])[0])
    for answer, other in zip(together, tight.answer(queries), strict=True):
        assert_same(answer, other)


@pytest.mark.parametrize("name", ["gemma3", "llama4", "mllama", "qwen2_5_vl"])
def test_projector_makes_what_enters_the_language_model_of_what_leaves_the_encoder(name):
    """Mean and last token follow each picture through the projector's module, run by itself."""
    backend = backend_of(name)
    (image,) = noise(1)
    (answer,) = backend.answer([Encode((image,), at=("encoder", "projector", "layer:0"))])
    core = backend._family.model if name == "llama4" else backend._family.model.model
    picture = backend._family.picture(image, alone=True)
    with torch.inference_mode():
        inputs = {**picture.inputs, "pixel_values": picture.inputs["pixel_values"].float()}
        if name == "qwen2_5_vl":
            encoded = core.visual(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"]).last_hidden_state
            projected = core.visual.merger(encoded)
        elif name == "mllama":
            tiles = int(inputs["aspect_ratio_mask"].sum())
            encoded = core.vision_model(**inputs).last_hidden_state[0, 0, :tiles]
            projected = core.multi_modal_projector(encoded)
        else:
            tower = core.vision_model if name == "llama4" else core.vision_tower
            encoded = tower(inputs["pixel_values"]).last_hidden_state
            projected = core.multi_modal_projector(encoded)
    for site, states in {"encoder": encoded, "projector": projected}.items():
        expected = states.flatten(0, -2).mean(0)
        np.testing.assert_allclose(answer.features[site], expected, rtol=1e-4, atol=1e-5)
    if name != "mllama":  # images are no part of its sequence
        np.testing.assert_allclose(answer.features["layer:0"], answer.features["projector"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in TREES if name != "mllama"])  # whose tiles are padded
def test_two_ways_through_one_checkpoint_lead_to_the_same_features(name):
    generic = build_backend(f"generic:model={shared_checkpoint(name)}", BUILDER, device="cpu", dtype="float32")
    first, second, third = noise(3)
    sites = ("encoder", "projector", "layer:1", "layer:-1")
    queries = [
        Encode((first,), at=sites),
        Encode((second, third), WORDS, at=sites, pool="last"),
        Encode((first,), WORDS, at=("layer:2",), over="text"),
    ]
    for answer, other in zip(backend_of(name).answer(queries), generic.answer(queries), strict=True):
        assert_same(answer, other)


def test_image_is_encoded_once_and_the_forward_shared():
    backend = backend_of("qwen3_vl")
    image, other = noise(2)
    answers = backend.answer([Encode((shown,), at=("layer:1",)) for shown in (image, other, image)])
    assert [answer.usage.images_encoded for answer in answers] == [1, 1, 0]
    assert sum(answer.usage.forwards for answer in answers) == pytest.approx(1)
    assert all(answer.usage.tokens.trunk > 0 for answer in answers)
    (seen,) = backend.answer([Encode((image,), at=("encoder",))])
    assert (seen.usage.forwards, seen.usage.tokens.total) == (0, 0)


def test_layers_that_are_not_there_are_refused():
    with pytest.raises(SpecError, match="there is no layer:4 in 3 layers; give layer:0 to layer:3"):
        backend_of("qwen3_vl").answer([Encode(noise(1), at=("layer:4",))])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"at": ("retina",)}, "unknown site 'retina'; give encoder, projector, or a layer"),
        ({"at": ("layer:x",)}, "unknown site 'layer:x'"),
        ({"at": ("encoder", "layer:1", "encoder")}, "site 'encoder' stands twice"),
        ({"images": ()}, "without images has no visual tokens"),
        ({"over": "text", "at": ("projector",)}, "text does not pass the projector"),
    ],
)
def test_impossible_queries_are_refused(wrong, message):
    with pytest.raises(SpecError, match=message):
        Encode(**{"images": noise(1), **wrong})


def test_features_are_logged_with_samples():
    query = Encode(noise(1), at=("layer:-1",))
    answer = Encoding({"layer:-1": np.array([1.5, np.inf], dtype=np.float32)}, prompt="words")
    (line,) = sample_lines(Solved(Example("one", ()), exchanges=[Exchange(0, query, answer)]))
    assert line == {"id": "one", "round": 0, "prompt": "words", "features": {"layer:-1": [1.5, None]}}


def test_who_has_no_features_says_so():
    query = Encode(noise(1))
    assert Capability.FEATURES not in build_backend("scripted", BUILDER).capabilities
    with pytest.raises(BackendError, match="scripted has no features"):
        build_backend("scripted", BUILDER).answer([query])
    with FakeServer(lambda asked: Said("")) as server:
        backend = ServerBackend("fake", server.base_url)
        assert Capability.FEATURES not in backend.capabilities
        with pytest.raises(ServerError, match="offers no features; use a local model"):
            backend.answer([query])
        assert server.requests == []
