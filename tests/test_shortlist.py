"""The strategy ``shortlist`` with small random two-tower models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vlmkit import Ask, Classify, Engine, LabelSpace
from vlmkit.errors import ModelError, SpecError
from vlmkit.local.embedder import Embedder
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing import check_strategy
from vlmkit.testing.models.two_towers import two_towers
from vlmkit.testing.noise import noise
from vlmkit_adapters.scripted import ScriptedBackend
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_shortlist.retriever import Retriever
from vlmkit_shortlist.shortlist import Shortlist
from vlmkit_strategies.dci import DCI
from vlmkit_strategies.flat import Flat

NAMES = [f"bird {number}" for number in range(30)]


@pytest.fixture(scope="module", params=["clip", "siglip"])
def clip(request, tmp_path_factory) -> Path:
    return two_towers(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def embedder(clip, monkeypatch):
    """An embedder that notes every text that it embeds."""
    embedder, read = Embedder.load(clip, "cpu"), []
    texts = Embedder.texts
    monkeypatch.setattr(Embedder, "texts", lambda self, batch: read.extend(batch) or texts(self, batch))
    return embedder, read


def test_it_keeps_the_contract(clip):
    check_strategy(Shortlist(Flat(), clip, k=5), free_questions=True)


def test_the_nearest_labels_come_first_and_words_are_embedded_once(embedder):
    embedder, read = embedder
    retriever = Retriever(embedder, "a photo of a {}.")
    (image, other) = noise(2)
    nearest = retriever.nearest([image], NAMES, 7)
    assert read == [f"a photo of a {name}." for name in NAMES]
    likeness = dict(zip(NAMES, embedder.texts(read[:30]) @ embedder.images([image])[0], strict=True))
    del read[:]
    # Another order of the labels rounds otherwise, and some of them are alike to six digits.
    for found in (nearest, retriever.nearest([image], NAMES[::-1], 7)):
        best = sorted(likeness.values(), reverse=True)[:7]
        assert np.allclose([likeness[name] for name in found], best, atol=1e-4) and len(set(found)) == 7
    assert len(retriever.nearest([image, other], NAMES, 4)) == 4
    assert read == []


def test_the_inner_strategy_is_asked_about_the_shortlist_alone(clip):
    data = Glyphs(labels=60, images=4)
    backend = ScriptedBackend(accuracy=1.0)
    engine = Engine(Shortlist(DCI(group_size=5), clip, k=10), backend, keep_exchanges=True)
    for solved in engine.solve(data, data.labels):
        offered = {option.name for one in solved.exchanges for option in one.query.options}
        listed, *rounds = solved.prediction.trace
        assert (listed.candidates, listed.queries) == (60, 0)
        assert offered == set(listed.survivors) and len(offered) == 10
        assert [played.candidates for played in rounds] == [10, 2]


def test_few_labels_and_free_questions_need_no_retrieval():
    strategy = Shortlist(Flat(), Path("nowhere"), k=3)
    (image,) = noise(1)
    with pytest.raises(StopIteration):
        next(strategy.solve(Classify(images=(image,), labels=["wren"])))
    assert len(next(strategy.solve(Classify(images=(image,), labels=["wren", "tern", "gull"])))) == 1
    assert len(next(strategy.solve(Ask(images=(image,), question="How many?")))) == 1


def test_what_is_wrong_with_the_model_or_the_template_is_said(clip, tmp_path):
    strategy = Shortlist(Flat(), tmp_path, k=1)
    with pytest.raises(ModelError, match="cannot be loaded"):
        list(Engine(strategy, ScriptedBackend()).solve(Glyphs(labels=5, images=1), LabelSpace(NAMES)))
    with pytest.raises(SpecError, match="no place for the name"):
        Shortlist(Flat(), clip, template="a photo")


def test_it_wraps_in_specs(clip):
    builder = Builder(PluginHost.load().registry)
    built = builder.strategy(f'shortlist:k=9,clip={clip},template="a {{}}, drawn"+dci:group_size=4')
    assert built == Shortlist(DCI(group_size=4), clip, k=9, template="a {}, drawn")
    with pytest.raises(SpecError, match="shortlist needs clip"):
        builder.strategy("shortlist")
