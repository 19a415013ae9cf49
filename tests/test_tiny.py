"""The embedded model, through the command line: the collapse of long lists, and what mends it."""

from __future__ import annotations

import json
import shutil

import pytest

from vlmkit import Choose, Pipeline
from vlmkit_adapters.tiny import CHECKPOINT
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_glyphs.names import GLYPHS, LEVELS
from vlmkit_strategies.dci import DCI


@pytest.fixture
def results(vlmkit_here):
    """Results of ``vlmkit run DATA --strategy STRATEGY --json``."""

    def run(data: str, strategy: str) -> dict:
        done = vlmkit_here("run", data, "--strategy", strategy, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def accuracy(found: dict) -> float:
    return found["metrics"]["accuracy"]["value"]


@pytest.mark.thorough
def test_200_labels(results):
    data = "glyphs:labels=200,images=50"
    assert accuracy(results(data, "dci:group_size=20")) >= 0.90
    assert accuracy(results(data, "flat")) <= 0.30


@pytest.mark.thorough
def test_1000_labels(results):
    data = "glyphs:labels=1000,images=20"
    assert accuracy(results(data, "dci:group_size=20")) >= 0.80
    assert accuracy(results(data, "flat")) <= 0.05


def test_1000_labels_take_at_most_six_forwards_an_image(tmp_path):
    """One image at a time, so that no forward is shared between images."""
    data = Glyphs(labels=1000, images=2)
    pipeline = Pipeline("tiny", "dci:group_size=20", in_flight=1)
    for solved in pipeline.solve(data, data.labels):
        assert solved.usage.queries == 54
        assert solved.usage.forwards <= 6
        assert solved.usage.images_encoded == 1


def test_tokens_are_at_most_a_tenth_above_the_trie_that_dci_asked_for():
    """The trie as the set of all prefixes that some score needs, over all rounds of an image."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(CHECKPOINT)
    data = Glyphs(labels=1000, images=1)
    pipeline = Pipeline("tiny", DCI(group_size=20), keep_exchanges=True)
    (solved,) = pipeline.solve(data, data.labels)
    prefixes: set[tuple[int, ...]] = set()
    for exchange in solved.exchanges:
        query = exchange.query
        assert isinstance(query, Choose)
        inputs = processor(text=[exchange.answer.prompt], images=[query.images[0].pixels])
        prompt = inputs["input_ids"][0]
        for name in exchange.answer.options:
            needed = (*prompt, *processor.tokenizer(name)["input_ids"][:-1])
            prefixes |= {needed[:length] for length in range(1, len(needed) + 1)}
    spent = solved.usage.tokens
    assert len(prefixes) <= spent.trunk + spent.branch <= 1.10 * len(prefixes)
    assert spent.generated == 0


@pytest.mark.parametrize("level", [level for level in LEVELS if level != "leaf"])
def test_it_answers_at_every_level(level):
    """Names of one level at a time, at most 20 of them: far above chance everywhere."""
    data = Glyphs(labels=1000, images=40)
    pipeline = Pipeline("tiny", "flat")
    right = 0
    for example in data:
        truth = getattr(GLYPHS[example.target], level)
        others = [name for name in LEVELS[level] if name != truth]
        (prediction,) = pipeline.classify(example.images, [*others[:19], truth])
        right += prediction.label == truth
    assert right / len(data) >= 0.8


def test_paper_policy_runs_on_the_real_model(results):
    found = results("glyphs:labels=100,images=10", "dci:policy=paper,group_size=20")
    assert found["metrics"]["none_rate"]["value"] > 0.3
    assert found["usage"]["tokens"]["generated"] > 0


def test_model_directory_without_weights_is_refused(vlmkit_here, tmp_path):
    directory = shutil.copytree(CHECKPOINT, tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors"))
    done = vlmkit_here("run", "glyphs", "--model", directory)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "safetensors" in done.stderr and "Traceback" not in done.stderr
