"""FLOPs from configurations, held against what torch counts while the models run."""

import numpy as np
import PIL.Image
import pytest
import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from vlmkit.bench.machine import Machine
from vlmkit.bench.watch import TimedWork, Watched
from vlmkit.engine.models import build_backend
from vlmkit.measures.flops import TextShape, VisionShape, tournament_work
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing.models import small_checkpoint
from vlmkit.testing.plain import Plain
from vlmkit.tokentree.dry import DryBackend
from vlmkit.tokentree.work import patches
from vlmkit.types import Choose, Generate, Image, Label, LabelSpace, Letter, Likelihood, Reply, Usage
from vlmkit_adapters.tiny import CHECKPOINT

TOKENS = 48

TREES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "internvl", "llava_onevision", "gemma3", "gemma4")
CROSSING = ("mllama", "llama4")


@pytest.fixture(scope="module")
def builder():
    return Builder(PluginHost.load().registry)


@pytest.fixture(scope="module")
def checkpoint_of(tmp_path_factory):
    """Directories of small random models, made once, and of ``tiny``."""
    folder = tmp_path_factory.mktemp("models")

    def make(name):
        if name == "tiny":
            return str(CHECKPOINT)
        if not (folder / name).exists():
            small_checkpoint(name, folder / name)
        return str(folder / name)

    return make


@pytest.fixture(scope="module")
def backend_of(builder, checkpoint_of):
    """Backends of these models."""
    return lambda name: build_backend(checkpoint_of(name), builder)


@pytest.fixture(scope="module")
def plain_of(checkpoint_of):
    """These models as transformers loads them, with its own attention."""
    return lambda name: Plain(checkpoint_of(name)).model


def image(seed=0, size=(96, 128)):
    return Image(PIL.Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)))


def counted(run):
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        run()
    return counter.get_total_flops()


def angles(config):
    """The FLOPs of rotary angles, which are products in older transformers."""
    return TOKENS * config.hidden_size // config.num_attention_heads


@pytest.mark.parametrize("name", ["tiny", "qwen2_vl", "qwen3_vl", "qwen3_vl_moe", "internvl", "gemma3", "gemma4"])
def test_text_formula_is_what_torch_counts(name, plain_of):
    model = plain_of(name)
    if name == "qwen3_vl_moe":
        model.set_experts_implementation("eager")  # the counter knows no grouped products
    shape = TextShape.of(model.config.get_text_config().to_dict())
    ids = torch.arange(10, 10 + TOKENS)[None]
    found = counted(lambda: model(input_ids=ids, use_cache=False))
    # Every token is multiplied with every key there, hidden or not; rotary angles are products in older transformers.
    assert shape.flops(TOKENS, TOKENS**2, TOKENS) == pytest.approx(found, rel=2e-3)


def test_llama4_is_billed_for_the_experts_that_a_token_is_sent_to(plain_of):
    model = plain_of("llama4")
    config = model.config.get_text_config()
    ids = torch.arange(10, 10 + TOKENS)[None]
    found = counted(lambda: model(input_ids=ids, use_cache=False))
    # In transformers every token goes through every expert.
    others = (config.num_local_experts - config.num_experts_per_tok) * len(config.moe_layers)
    wasted = 2 * TOKENS * others * 3 * config.hidden_size * config.intermediate_size
    shape = TextShape.of(config.to_dict())
    assert found - wasted - shape.flops(TOKENS, TOKENS**2, TOKENS) in (0, angles(config))


def test_mllama_attends_to_visual_states_in_some_layers(plain_of):
    text = plain_of("mllama").model.language_model
    ids, states = torch.arange(10, 10 + TOKENS)[None], torch.randn(1, 74, text.config.hidden_size)
    seen = {"cross_attention_states": states, "cross_attention_mask": torch.zeros(1, 1, TOKENS, 74)}
    found = counted(lambda: text(input_ids=ids, use_cache=False, **seen))
    shape = TextShape.of(text.config.to_dict())
    assert found - shape.flops(TOKENS, TOKENS**2, 0, seen=74 * TOKENS, states=74) in (0, angles(text.config))


@pytest.mark.parametrize("name", ["qwen3_vl", "gemma4", "llama4", "mllama"])
def test_a_token_that_nothing_reads_needs_keys_and_values_alone_in_the_last_layer(name, plain_of):
    model = plain_of(name)
    config = model.config.get_text_config()
    last = (model.get_decoder().model if name == "llama4" else model.get_decoder()).layers[-1]
    products = {path: module for path, module in last.named_modules() if isinstance(module, torch.nn.Linear)}
    kept = ("self_attn.k_proj", "self_attn.v_proj")
    saved = sum(2 * module.weight.numel() for path, module in products.items() if path not in kept)
    attention = 4 * products["self_attn.q_proj"].out_features
    shape = TextShape.of(config.to_dict())
    narrowed = shape.flops(5, 15, 1, unfinished=3, unfinished_pairs=6)
    assert shape.flops(5, 15, 1) - narrowed == 3 * saved + 6 * attention


@pytest.mark.parametrize("name", ["tiny", "qwen2_vl", "qwen3_vl", "qwen3_vl_moe"])
def test_vision_formula_is_what_torch_counts(name, backend_of):
    dry, family = DryBackend.of(backend_of(name)), backend_of(name).load()
    dry.answer([Choose((image(),), [Label("a"), Label("b")])])
    shape = VisionShape.of(family.model.config.vision_config.to_dict())
    ((tiles, patches),) = dry.work.encoded
    assert shape.flops(tiles, patches) == counted(lambda: family.encode([family.picture(image(), True)]))


@pytest.mark.parametrize("name", ["qwen2_5_vl", "internvl", "llava_onevision", "gemma3", "gemma4"])
def test_windows_and_projectors_are_what_the_vision_formula_leaves_out(name, backend_of):
    family = backend_of(name).load()
    dry = DryBackend.of(backend_of(name))
    dry.answer([Choose((image(),), [Label("a"), Label("b")])])
    shape = VisionShape.of(family.model.config.vision_config.to_dict())
    truth = counted(lambda: family.encode([family.picture(image(), True)]))
    # Of these small towers a projector is a large part.
    assert shape.flops(*dry.work.encoded[0]) == pytest.approx(truth, rel=0.15)


@pytest.mark.parametrize("name", ["llama4", "mllama"])
def test_vision_towers_of_tiles_are_what_torch_counts(name, backend_of):
    family = backend_of(name).load()
    tower = family.model.vision_model if name == "llama4" else family.model.model.vision_model
    picture = family.picture(image(size=(96, 200)), True)
    inputs = {key: value for key, value in picture.inputs.items() if key != "input_ids"}
    inputs["pixel_values"] = inputs["pixel_values"].float()
    shape = VisionShape.of(family.model.config.vision_config.to_dict())
    tiles, each = patches(picture, family)
    assert tiles > 1
    # Llama 3.2 Vision makes the mask of its tiles by a product.
    assert shape.flops(tiles, each) == pytest.approx(counted(lambda: tower(**inputs)), rel=3e-3)


@pytest.mark.parametrize("name", [*TREES, *CROSSING])
def test_every_family_is_billed_without_weights_as_with_them(name, backend_of):
    real, dry = backend_of(name), DryBackend.of(backend_of(name))
    words = ("cat", "cat flea", "oak tree", "red oak", "x", "bus stop")
    labels = [Label(word) for word in words]
    about = [(image(0),), (image(1, (64, 64)),), (image(2), image(3))]
    calls = [
        [Choose(images, labels[start : start + 3]) for images in about for start in (0, 3)],
        [Choose(images, labels, readout=Letter()) for images in about],
        [Choose(about[0], labels[::-1]), Generate(about[1], "What is this?", max_tokens=1)],
    ]
    for queries in calls:
        bills = [sum((one.usage for one in backend.answer(queries)), Usage()) for backend in (real, dry)]
        foreseen, paid = bills[1], bills[0]
        assert foreseen.tokens == paid.tokens
        assert foreseen.images_encoded == paid.images_encoded
        assert foreseen.forwards == pytest.approx(paid.forwards)


@given(st.integers(1, 4), st.integers(1, 6))
def test_one_candidate_is_a_plain_sequence(builder_dry, images, words):
    label = Label(" ".join(["red", "round", "plain"] * words)[: 6 * words].strip())
    dry = builder_dry()
    (answer,) = dry.answer([Choose([image(seed) for seed in range(images)], [label])])
    total = answer.usage.tokens.total
    assert dry.work.tokens == total
    assert dry.work.pairs == total * (total + 1) // 2
    assert dry.work.read >= 1


@pytest.fixture(scope="module")
def builder_dry(backend_of):
    first = DryBackend.of(backend_of("tiny"))
    return lambda: DryBackend(first.load, first.describe, first.limits)


def test_a_reply_reads_one_position_a_token(builder_dry):
    dry = builder_dry()
    labels = LabelSpace(["a", "b"])
    (answer,) = dry.answer([Choose((image(),), labels, readout=Reply(max_tokens=5))])
    assert answer.usage.tokens.generated == 4
    assert dry.work.read == 5


def test_what_is_not_known_has_no_formula():
    assert TextShape.of({"model_type": "qwen3_5_text", "hidden_size": 8, "num_attention_heads": 2}) is None
    assert VisionShape.of({"model_type": "idefics3_vision"}) is None


@given(st.integers(2, 5000), st.integers(2, 300), st.floats(1, 1e4), st.floats(0.1, 100))
def test_the_proxy_is_lowest_where_the_paper_says(labels, size, fixed, each):
    best = fixed / each + 2
    lowest = tournament_work(labels, best, fixed, each)
    assert tournament_work(labels, size, fixed, each) >= lowest * (1 - 1e-9)


@pytest.mark.parametrize("name", ["qwen3_vl", "gemma3", "internvl"])
@pytest.mark.parametrize("readout", [Likelihood(), Letter(), Reply(max_tokens=1)], ids=lambda one: type(one).__name__)
def test_what_is_planned_goes_through_the_model(name, readout, backend_of):
    backend = backend_of(name)
    work = TimedWork()
    family = Watched(backend.load(), work, Machine(torch.device("cpu"), torch.float32))
    dry = DryBackend.of(backend)
    questions = [
        Choose((image(seed),), [Label(f"{word} {number}") for number in range(count)], readout=readout)
        for seed, (word, count) in enumerate([("red", 3), ("pale blue", 9), ("a", 2)])
    ]
    evolve(backend, load=lambda: family).answer(questions)
    dry.answer(questions)
    for counted_in in ("tokens", "pairs", "read", "unfinished", "unfinished_pairs", "encoded"):
        assert getattr(dry.work, counted_in) == getattr(work, counted_in), counted_in
