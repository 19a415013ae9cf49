"""What only a CUDA device can show; run by ``make gpu``."""

from __future__ import annotations

import gc

import PIL.Image
import pytest
import torch

from vlmkit import Choose, Image, Label
from vlmkit.engine.models import build_backend
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing import check_backend
from vlmkit.testing.models import RECIPES, small_checkpoint

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

BUILDER = Builder(PluginHost.load().registry)
QUESTION = Choose((Image(PIL.Image.new("RGB", (64, 64))),), [Label("cat"), Label("dog")])


@pytest.mark.parametrize("model_type", sorted(RECIPES))
def test_adapters_keep_the_contract(model_type, tmp_path):
    directory = small_checkpoint(model_type, tmp_path)
    check_backend(build_backend(str(directory), BUILDER, device="cuda", dtype="float32"))


def test_the_device_is_taken_where_there_is_one():
    backend = build_backend("tiny", BUILDER)
    assert (backend.identity["device"], backend.identity["dtype"]) == (torch.cuda.get_device_name(), "bfloat16")


def test_closing_gives_the_memory_back():
    backend = build_backend("tiny", BUILDER, device="cuda", dtype="float32")
    backend.answer([QUESTION])
    held, weights = torch.cuda.memory_allocated(), 4 * backend.identity["parameters"]
    backend.close()
    gc.collect()
    assert torch.cuda.memory_allocated() <= held - weights
