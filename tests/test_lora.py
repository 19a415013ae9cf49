"""``--lora``: a LoRA merged into the weights of a local model."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import peft
import pytest
import torch
from attrs import evolve

from vlmkit import Letter, Likelihood, Pipeline
from vlmkit.engine.models import build_backend
from vlmkit.errors import ModelError, SpecError
from vlmkit.local.digests import weights_digest
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing.models import shared_checkpoint
from vlmkit.testing.noise import noise, questions
from vlmkit.testing.plain import Plain
from vlmkit_adapters.tiny import CHECKPOINT
from vlmkit_train.targets import target_modules

BUILDER = Builder(PluginHost.load().registry)

TOLERANCE = 1e-4
"""Largest difference in log-probability, float32, nats."""


@contextmanager
def peft_may_warn() -> Iterator[None]:
    """Peft asks transformers by names that go in its next major release."""
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        yield


def random_lora(base: Path, directory: Path, *, trained_on: str | None = None) -> Path:
    """Write a random LoRA of every decoder layer, large enough to change what is chosen."""
    model = Plain(base).model
    torch.manual_seed(7)
    config = peft.LoraConfig(
        r=4, lora_alpha=32, init_lora_weights=False, target_modules=target_modules(model, None, ())
    )
    with peft_may_warn():
        peft.get_peft_model(model, config).save_pretrained(directory)
    if trained_on is not None:
        record = {"model": {"model": "somebody's", "weights": trained_on}}
        (directory / "training.json").write_text(json.dumps(record))
    return directory


@pytest.fixture(scope="module")
def tiny_lora(tmp_path_factory):
    return random_lora(CHECKPOINT, tmp_path_factory.mktemp("lora") / "tiny", trained_on=weights_digest(CHECKPOINT))


@pytest.mark.parametrize("name", ["qwen3_vl", "gemma3", "mllama", "qwen3_5"])
def test_scores_are_those_of_a_plain_forward_through_peft(name, tmp_path):
    base = shared_checkpoint(name)
    lora = random_lora(base, tmp_path / "lora")
    asked = [evolve(query, readout=readout) for readout in (Likelihood(), Letter()) for query in questions(noise(2))]
    ballots = build_backend(str(base), BUILDER, device="cpu", lora=lora).answer(asked)
    plain = Plain(base)
    without = [score for query in asked for score in plain.log_probs(query)]
    with peft_may_warn():
        plain.model = peft.PeftModel.from_pretrained(plain.model, lora).eval()
    expected = [score for query in asked for score in plain.log_probs(query)]
    got = [score for ballot in ballots for score in ballot.log_probs]
    assert np.max(np.abs(np.subtract(got, expected))) < TOLERANCE
    assert np.max(np.abs(np.subtract(got, without))) > 0.1


def test_the_manifest_names_the_lora_and_its_content(tiny_lora, tmp_path):
    plain, with_lora = (build_backend("tiny", BUILDER, lora=lora).identity for lora in (None, tiny_lora))
    assert {key: with_lora[key] for key in plain} == plain
    assert set(with_lora) - set(plain) == {"lora"}
    assert with_lora["lora"]["name"] == "tiny"
    other = shutil.copytree(tiny_lora, tmp_path / "tiny")
    assert build_backend("tiny", BUILDER, lora=other).identity == with_lora
    config = json.loads((other / "adapter_config.json").read_text())
    (other / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 1}))
    assert build_backend("tiny", BUILDER, lora=other).identity != with_lora


def test_a_run_with_a_lora_is_another_run(vlmkit_here, tiny_lora):
    run = ("run", "glyphs:labels=4,images=2", "--strategy", "flat", "--output", "run")
    assert vlmkit_here(*run, "--lora", tiny_lora).returncode == 0
    assert vlmkit_here(*run, "--lora", tiny_lora).returncode == 0
    without = vlmkit_here(*run)
    assert without.returncode == 2
    assert "model.lora was" in without.stderr


def test_a_plan_needs_no_weights_of_it(vlmkit_here, tiny_lora):
    assert vlmkit_here("plan", "glyphs:labels=4,images=2", "--lora", tiny_lora).returncode == 0


def test_other_weights_than_those_it_was_trained_on_are_refused(tmp_path):
    lora = random_lora(CHECKPOINT, tmp_path, trained_on="0" * 64)
    with pytest.raises(
        ModelError, match=r"trained on other weights than those of .*; give the model .* \(somebody's\)"
    ):
        Pipeline("tiny", "flat", lora=lora)


def test_another_architecture_is_refused_when_it_loads(tiny_lora, tmp_path):
    lora = shutil.copytree(tiny_lora, tmp_path / "lora")
    (lora / "training.json").unlink()
    backend = build_backend(str(shared_checkpoint("gemma3")), BUILDER, device="cpu", lora=lora)
    with pytest.raises(ModelError, match="does not fit"):
        backend.answer(questions(noise(1)))


def test_updates_of_layers_that_are_not_there_are_refused(tiny_lora, tmp_path):
    from safetensors.torch import load_file, save_file

    lora = shutil.copytree(tiny_lora, tmp_path / "lora")
    weights = load_file(lora / "adapter_model.safetensors")
    weights.pop(sorted(weights)[0])
    save_file(weights, lora / "adapter_model.safetensors")
    backend = build_backend("tiny", BUILDER, device="cpu", lora=lora)
    with pytest.raises(ModelError, match="is on one side alone"):
        backend.answer(questions(noise(1)))


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_missing_file_is_named(tiny_lora, tmp_path, name):
    lora = shutil.copytree(tiny_lora, tmp_path / "lora")
    (lora / name).unlink()
    with pytest.raises(ModelError, match=f"has no {name}"):
        build_backend("tiny", BUILDER, lora=lora)


def test_a_damaged_configuration_is_one_line(vlmkit_here, tiny_lora, tmp_path):
    lora = shutil.copytree(tiny_lora, tmp_path / "lora")
    (lora / "adapter_config.json").write_text("{")
    done = vlmkit_here("run", "--lora", lora)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "adapter_config.json cannot be read" in done.stderr


def test_what_holds_no_weights_here_takes_no_lora(tiny_lora):
    with pytest.raises(ModelError, match="adapter openai asks a server"):
        build_backend("openai:model=x,base_url=http://localhost:1", BUILDER, lora=tiny_lora)
    with pytest.raises(SpecError, match="adapter scripted has no option lora"):
        build_backend("scripted", BUILDER, lora=tiny_lora)
