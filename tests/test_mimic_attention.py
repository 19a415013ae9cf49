"""Where visual tokens look, against the attention matrices of plain models of transformers."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from vlmkit import Choose
from vlmkit.engine.models import build_backend
from vlmkit.errors import ModelError
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing.models import shared_checkpoint
from vlmkit.testing.noise import noise
from vlmkit.testing.plain import Plain
from vlmkit.testing.situations import LABELS
from vlmkit.tokentree import weights
from vlmkit_mimic.attention import attention_profile

BUILDER = Builder(PluginHost.load().registry)
QUERY = Choose(tuple(noise(3)), LABELS[:3])


def backend_of(name):
    return build_backend(str(shared_checkpoint(name)), BUILDER)


def plainly(name, query, counts):
    """Every layer's shares, token by token, off whole attention matrices."""
    plain = Plain(shared_checkpoint(name))
    plain.model.set_attn_implementation("eager")
    inputs = plain.inputs(query)
    image_token = plain.model.config.image_token_id
    left, owner = list(counts), []
    for token in inputs["input_ids"][0].tolist():
        while left and not left[0]:
            left.pop(0)
        owner.append(len(counts) - len(left) if token == image_token else None)
        if token == image_token:
            left[0] -= 1
    with torch.inference_mode():
        matrices = plain.model(**inputs, output_attentions=True).attentions
    shares = []
    for (matrix,) in matrices:  # [heads, T, T]
        found = []
        for asking, own in enumerate(owner):
            if own:
                visual = [key for key, other in enumerate(owner) if other is not None]
                others = [key for key in visual if owner[key] != own]
                seen = [key for key in visual if matrix[0, asking, key] > 0]
                total = matrix[:, asking, visual].sum(-1)
                inter = matrix[:, asking, others].sum(-1) / total
                chance = sum(owner[key] != own for key in seen) / len(seen)
                found.append((total.mean(), inter.mean(), chance))
        shares.append(torch.tensor(found).mean(0))
    return shares


@pytest.mark.parametrize("name", ["qwen3_vl", "gemma3", "internvl", "llava_onevision"])
def test_shares_are_those_of_plain_attention_matrices(name, monkeypatch):
    monkeypatch.setattr(weights, "WEIGHTS_AT_ONCE", 20_000)  # a few queries at a time
    backend = backend_of(name)
    counts = [backend.load().picture(image, False).tokens for image in QUERY.images]
    profile = attention_profile(backend, [(QUERY.images, QUERY.text)])
    expected = plainly(name, QUERY, counts)
    assert [one.layer for one in profile.layers] == list(range(len(expected)))
    for one, (visual, inter, chance) in zip(profile.layers, expected, strict=True):
        assert one.visual == pytest.approx(float(visual), abs=1e-5)
        assert one.inter == pytest.approx(float(inter), abs=1e-5)
        assert one.chance == pytest.approx(float(chance), abs=1e-5)
        assert 0 < one.inter < 1 and one.intra == 1 - one.inter


def test_profiles_are_means_over_examples_of_several_images():
    backend = backend_of("qwen3_vl")
    examples = [(QUERY.images, ""), (QUERY.images[1:], "Which?"), (QUERY.images[:1], "")]
    apart = [attention_profile(backend, [one]) for one in examples[:2]]
    together = attention_profile(backend, examples)
    assert (together.examples, together.images, together.skipped) == (2, (2, 3), 1)
    for one, *parts in zip(together.layers, *(profile.layers for profile in apart), strict=True):
        assert one.inter == pytest.approx(sum(part.inter for part in parts) / 2)
    with pytest.raises(ValueError, match="no example has two images"):
        attention_profile(backend, examples[2:])


def test_words_behind_the_images_change_nothing():
    backend = backend_of("qwen3_vl")
    one, other = (attention_profile(backend, [(QUERY.images, text)]) for text in ("", "What do they have in common?"))
    for mine, theirs in zip(one.layers, other.layers, strict=True):
        assert mine.inter == pytest.approx(theirs.inter, abs=1e-6)


def test_cross_attention_has_no_profile():
    with pytest.raises(ModelError, match="no part of its sequence"):
        attention_profile(backend_of("mllama"), [(QUERY.images, "")])


def test_the_command_shows_every_layer(vlmkit_here, tmp_path):
    asked = ["mimic", "attention", "glyphs:images=7,labels=5", "--group", "3", "--limit", "5"]
    table = vlmkit_here(*asked, "--plot", "shares.png")
    assert (tmp_path / "shares.png").read_bytes().startswith(b"\x89PNG")
    assert "2 prompts of 3 images" in table.stderr
    found = json.loads(vlmkit_here(*asked, "--json").stdout)
    assert (found["prompts"], found["images"], [one["layer"] for one in found["layers"]]) == (2, [3, 3], [0, 1, 2, 3])
    for one in found["layers"]:
        assert one["inter"] + one["intra"] == pytest.approx(1)
        assert f"{one['inter']:.1%}" in table.stdout


def test_what_cannot_be_measured_is_said_in_one_line(vlmkit_here, monkeypatch):
    data = "glyphs:images=3,labels=5"
    alone = vlmkit_here("mimic", "attention", data)
    assert alone.returncode == 2 and "no example has two images" in alone.stderr
    other = vlmkit_here("mimic", "attention", data, "--group", "3", "--model", "scripted")
    assert other.returncode == 2 and "cannot be seen" in other.stderr
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    bare = vlmkit_here("mimic", "attention", data, "--plot", "x.png")
    assert bare.returncode == 2 and "pip install 'vlmkit[plot]'" in bare.stderr
