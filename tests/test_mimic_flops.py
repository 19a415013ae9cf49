"""What masks and pooling save, against masks written out and what torch counts while models run."""

from __future__ import annotations

import json

import pytest
import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from vlmkit import Mask
from vlmkit.engine.models import build_backend
from vlmkit.local.masking import TEXT
from vlmkit.measures.flops import TextShape
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing.models import shared_checkpoint
from vlmkit.testing.plain import Plain
from vlmkit.tokentree.isolation import Isolation
from vlmkit.tokentree.layout import aligned
from vlmkit.tokentree.packing import Row, pack
from vlmkit_mimic.costs import BOTH, MASKED, PLAIN, POOLED, Cost, Costs, Layout

BUILDER = Builder(PluginHost.load().registry)
SMALL = st.builds(Layout, st.integers(1, 4), st.integers(1, 6), st.integers(0, 5), st.integers(0, 5))


def owners(prompt):
    """The image of every token."""
    images = [image for image in range(prompt.images) for _ in range(prompt.tokens)]
    return [TEXT] * prompt.before + images + [TEXT] * prompt.after


@given(SMALL, st.booleans())
def test_pairs_are_those_of_masks_written_out(prompt, text):
    owner = owners(prompt)
    places = range(len(prompt))
    seen = [(query, key) for query in places for key in range(query + 1)]
    kept = [(query, key) for query, key in seen if owner[query] in (TEXT, owner[key]) or (text and owner[key] == TEXT)]
    assert (prompt.pairs, prompt.masked_pairs(text)) == (len(seen), len(kept))


@given(SMALL, st.integers(1, 7))
def test_pooling_leaves_a_token_for_the_tail(prompt, factor):
    tokens = list(range(prompt.tokens))
    assert prompt.pooled(factor).tokens == len([tokens[i : i + factor] for i in range(0, len(tokens), factor)])


@pytest.mark.parametrize("name", ["qwen3_vl", "gemma3", "llava_onevision", "gemma4"])
def test_the_parts_of_a_layer_are_what_torch_counts(name):
    model = Plain(shared_checkpoint(name)).model
    shape = TextShape.of(model.config.get_text_config().to_dict())
    prompt = Layout(images=2, tokens=9, before=3, after=4)
    costs = Costs.of(shape, prompt, Mask("none"), 1)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(input_ids=torch.arange(10, 10 + len(prompt))[None], use_cache=False)
    counts = counter.get_flop_counts()["Global"]
    attention = sum(count for kind, count in counts.items() if "attention" in str(kind) or "bmm" in str(kind))
    found = sum(costs.layers[PLAIN], Cost())
    # Every token is multiplied with every key there, hidden or not.
    assert found.attention * len(prompt) ** 2 // prompt.pairs == pytest.approx(attention, rel=2e-2)
    read = 2 * len(prompt) * shape.hidden * shape.vocabulary
    before = 2 * len(prompt) * shape.before
    others = sum(counts.values()) - attention - read - before
    assert found.projections + found.feed_forward == pytest.approx(others, rel=2e-3)
    mlp = model.get_decoder().layers[0].mlp
    gates = sum(2 * len(prompt) * one.weight.numel() for one in mlp.modules() if isinstance(one, torch.nn.Linear))
    if name != "gemma4":  # whose layers have more besides
        assert costs.layers[PLAIN][0].feed_forward == gates


@pytest.mark.parametrize("text", [True, False])
def test_token_trees_compute_no_hidden_pair(text):
    """Attention in a masked layer does what is counted and, for blocks of text and images, their upper triangles.

    Where there is a mask, keys are padded to whole registers.
    """
    family = build_backend(str(shared_checkpoint("qwen3_vl")), BUILDER).load()
    prompt = Layout(images=3, tokens=16, before=5, after=7)
    shape = TextShape.of(family.model.config.get_text_config().to_dict())
    length, queries = len(prompt), shape.layers[0].queries
    isolation = Isolation(frozenset({1}), text, owners(prompt))
    row = Row(0, [10] * length, [length] * length, torch.arange(length).expand(3, -1), isolation=isolation)
    packed = pack([row], family.device)
    free, hidden = (sum(int(one.pairs) for one in packed.layout.at(layer)[0]) for layer in (0, 1))
    assert (free, hidden) == (prompt.pairs, prompt.masked_pairs(text))

    def attention(layout):
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            family.forward(packed.ids, packed.positions, (), layout)
        return sum(n for kind, n in counter.get_flop_counts()["Global"].items() if "attention" in str(kind))

    # An image alone is causal and has no mask.
    keys = aligned(prompt.tokens + prompt.before) if text else prompt.tokens
    computed = prompt.images * prompt.tokens * keys + (prompt.before + prompt.after) * aligned(length)
    saved = attention(evolve(packed.layout, isolated={})) - attention(packed.layout)
    assert saved == 4 * queries * (length**2 - computed)


def test_a_mask_saves_attention_of_masked_layers_and_nothing_else():
    """In the shape of the published model of 0.5 billion parameters, with its share of 12 % of text."""
    shape = TextShape.of(
        {
            "model_type": "qwen2",
            "hidden_size": 896,
            "num_hidden_layers": 24,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "intermediate_size": 4864,
            "vocab_size": 151_936,
        }
    )
    costs = Costs.of(shape, Layout(images=10, tokens=729, before=0, after=994), Mask("12-23"), 1)
    saved = {part: 1 - costs.sums(MASKED)[part] / whole for part, whole in costs.sums(PLAIN).items()}
    assert saved["attention, masked layers"] == pytest.approx(0.70, abs=0.005)
    assert saved["all layers"] == pytest.approx(0.12, abs=0.005)
    assert saved["attention, all layers"] == pytest.approx(saved["attention, masked layers"] / 2)
    assert saved["projections, all layers"] == saved["feed-forward, all layers"] == 0


def test_ways_of_saving_that_do_nothing_save_nothing():
    shape = TextShape.of(Plain(shared_checkpoint("qwen3_vl")).model.config.get_text_config().to_dict())
    costs = Costs.of(shape, Layout(3, 20, 4, 5), Mask("none"), 1)
    assert costs.sums(PLAIN) == costs.sums(MASKED) == costs.sums(POOLED) == costs.sums(BOTH)


def test_the_command_names_its_denominators(vlmkit_here):
    asked = ["mimic", "flops", "--model", "random:qwen3-vl-2b", "--images", "10", "--layers", "14-27", "--factor", "8"]
    table = vlmkit_here(*asked)
    for part in ("attention, masked layers", "masked layers", "attention, all layers", "all layers"):
        assert part in " ".join(table.stdout.split())
    found = json.loads(vlmkit_here(*asked, "--json").stdout)
    assert found["masked_layers"] == list(range(14, 28))
    assert len(found["by_layer"]["masked"]) == 28
    assert found["saved"]["masked"]["all layers"] < 0.2 < 0.8 < found["saved"]["masked"]["attention, masked layers"]
    plain = found["by_layer"]["plain"]
    assert sum(one["attention"] for one in plain) == found["flops"]["plain"]["attention, all layers"]


def test_what_has_no_visual_tokens_is_refused(vlmkit_here):
    crossing, missing = (vlmkit_here("mimic", "flops", *more) for more in (("--model", "mllama"), ("--layers", "99")))
    assert (crossing.returncode, missing.returncode) == (2, 2)
    assert "images of mllama are no part" in crossing.stderr and "has no layer 99" in missing.stderr
