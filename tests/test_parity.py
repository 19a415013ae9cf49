"""The command that holds a backend against plain full forwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from attrs import evolve

from vlmkit import Letter
from vlmkit.data.images import open_image
from vlmkit.engine.models import build_backend
from vlmkit.errors import BackendError
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing.models import RECIPES, shared_checkpoint
from vlmkit.testing.parity import READOUTS, measure, model_names
from vlmkit.testing.plain import Plain
from vlmkit.testing.situations import SITUATIONS, write_pictures

BUILDER = Builder(PluginHost.load().registry)

OFF = """
from vlmkit import hookimpl
from vlmkit.tokentree import open_family
from vlmkit_adapters.qwen import QwenFamily

class Off(QwenFamily):
    def positions(self, ids, pictures):
        places = super().positions(ids, pictures)
        places[1] += places[1] > 8
        return places

off = open_family(Off)

@hookimpl
def vlmkit_register(registry):
    registry.adapter("off", "off:off", summary="Wrong by one position")
"""


def situation(name: str):
    (found,) = (one for one in SITUATIONS if one.name == name)
    return found


@pytest.mark.thorough
def test_two_families_agree_with_plain_forwards(vlmkit_here, tmp_path):
    done = vlmkit_here("parity", "gemma3", "tiny", "--device", "cpu", "--json", "--markdown", "page.md")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["tolerance"] == 1e-4
    cells = {(one["model"], one["readout"], one["situation"]): one for one in found["results"]}
    assert len(cells) == 2 * 2 * len(SITUATIONS)
    for (model, _, name), one in cells.items():
        known = name != "trunk longer than the window" or model == "gemma3"
        assert (one["queries"] > 0) == (one["options"] > 0) == known
        assert one["difference"] <= 1e-4
        assert one["same_choice"] == one["queries"]
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    for wanted in ("$ vlmkit parity gemma3 tiny", "| gemma3 |", "| tiny |", "torch", "transformers", "threads"):
        assert wanted in page


def test_a_wrong_backend_is_found(vlmkit_here, install_plugin, tmp_path):
    install_plugin("off", OFF)
    done = vlmkit_here("parity", f"off:model={shared_checkpoint('qwen3_vl')}")
    assert done.returncode == 1, done.stderr
    assert "OFF" in done.stdout
    assert "NOT ALL within 0.0001 nats" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("scripted",), "adapter scripted has no checkpoint to compare with"),
        (("./nowhere",), "there is no model directory ./nowhere"),
        (("qwen4",), "'qwen4' is no adapter and no directory"),
        (("tiny", "--dtype", "int4"), "unknown dtype 'int4'"),
        (("tiny", "--device", "cuda:77"), "device cuda:77 was asked for, but there is none"),
    ],
)
def test_wrong_requests_get_one_line(vlmkit_here, arguments, message):
    done = vlmkit_here("parity", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.thorough
def test_lower_precision_has_its_own_tolerance(vlmkit_here):
    done = vlmkit_here("parity", "internvl", "--dtype", "float16", "--device", "cpu", "--json")
    found = json.loads(done.stdout)
    assert found["tolerance"] == 0.15
    assert done.returncode == 0
    assert max(one["difference"] for one in found["results"]) > 1e-4


def test_every_type_that_can_be_made_is_compared():
    assert set(model_names()) == {*RECIPES, "tiny"}


def test_a_tree_that_fits_the_budget_is_no_test_of_it():
    tall = situation("tree larger than the token budget")
    roomy = evolve(tall, ask=situation("one image").ask, budget=100_000)
    with pytest.raises(BackendError, match="are not more than 100000"):
        measure("qwen3_vl", BUILDER, device="cpu", dtype="float32", tolerance=1e-4, situations=[roomy])


def test_the_trunk_is_longer_than_the_window(tmp_path):
    directory = shared_checkpoint("gemma3")
    images = [open_image(path) for path in write_pictures(tmp_path)]
    plain = Plain(directory)
    queries = situation("trunk longer than the window").questions(images, plain, Letter())
    backend = build_backend(str(directory), BUILDER, device="cpu", dtype="float32")
    trunk = sum(ballot.usage.tokens.trunk for ballot in backend.answer(queries))
    assert trunk == plain.shared_tokens(*queries) > plain.window == 16


def test_the_page_shows_every_type_that_can_be_made():
    page = (Path(__file__).parents[1] / "docs" / "parity.md").read_text(encoding="utf-8")
    for model in model_names():
        assert page.count(f"| {model} |") == len(READOUTS), "write it anew: see CONTRIBUTING.md"
