"""Token trees: budgets, memories and counts; that the scores are right is in ``test_scores.py``."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from vlmkit import Choose, Label, Tokens
from vlmkit.engine.models import build_backend
from vlmkit.errors import ModelError
from vlmkit.local import budget
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing.models import shared_checkpoint
from vlmkit.testing.noise import begins_another, noise, questions
from vlmkit.testing.plain import Plain
from vlmkit.testing.situations import LABELS
from vlmkit.tokentree import Checkpoint, HuggingFaceFamily, Limits, TokenTreeBackend
from vlmkit_adapters.llama import llama
from vlmkit_adapters.mllama import MllamaFamily

TOLERANCE = 1e-4
"""Largest difference in log-probability, float32, nats."""


@pytest.fixture(params=["qwen3_vl", "gemma3", "llama4", "mllama"])
def family(request):
    return shared_checkpoint(request.param)


@pytest.fixture
def qwen3():
    return shared_checkpoint("qwen3_vl")


@pytest.fixture
def mllama():
    return shared_checkpoint("mllama")


def backend_of(directory) -> TokenTreeBackend:
    return build_backend(str(directory), Builder(PluginHost.load().registry))


def assert_close(got: Sequence[float], expected: Sequence[float]) -> None:
    assert np.max(np.abs(np.subtract(got, expected))) < TOLERANCE


def scores(backend: TokenTreeBackend, queries: Sequence[Choose], size: int) -> list[float]:
    chunks = [queries[start : start + size] for start in range(0, len(queries), size)]
    return [score for chunk in chunks for ballot in backend.answer(chunk) for score in ballot.log_probs]


@pytest.mark.parametrize(
    "limits",
    [Limits(tokens=40), Limits(trunk_bytes=1), Limits(feature_bytes=1), Limits(tokens=1, trunk_bytes=1)],
    ids=["small forwards", "no room for trunks", "no room for features", "token by token"],
)
def test_budgets_never_change_a_score(family, limits):
    queries, tight, roomy = questions(noise(3)), backend_of(family), backend_of(family)
    tight.limits = limits
    assert_close(scores(tight, queries, 5), scores(roomy, queries, len(queries)))


def test_few_logits_at_once_never_change_a_score(family, monkeypatch):
    queries, read = questions(noise(3)), []
    expected = scores(backend_of(family), queries, 5)
    monkeypatch.setattr(budget, "LOGIT_BYTES", 1)
    log_probs = HuggingFaceFamily.log_probs
    monkeypatch.setattr(
        HuggingFaceFamily, "log_probs", lambda self, hidden: read.append(len(hidden)) or log_probs(self, hidden)
    )
    assert_close(scores(backend_of(family), queries, 5), expected)
    assert set(read) == {1}


@pytest.mark.thorough
def test_long_label_lists_are_scored_exactly_in_segments(family):
    rng = random.Random(1)
    labels = [Label(f"{rng.choice('abcdefgh')}{rng.choice('xyz')} {index}") for index in range(700)]
    image, other = noise(2)
    flat = Choose((image,), labels)
    # Two orders of one long list share no more than the fixed words: their stems are longer than a row.
    turned = Choose((image,), labels[::-1])
    together = backend_of(family).answer([flat, turned, Choose((other,), LABELS)])
    plain = Plain(family)
    for ballot, query in zip(together, (flat, turned), strict=False):
        picked = rng.sample(range(700), 3)
        expected = [
            sum(plain.token_log_probs(query, query.options[i].name, end=begins_another(query.options[i].name, query)))
            for i in picked
        ]
        assert_close([ballot.log_probs[i] for i in picked], expected)


def test_text_cross_attends_to_the_images_next_before_it(mllama, tmp_path):
    directory = shutil.copytree(mllama, tmp_path / "model")
    template = directory / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|image|>", "Picture: <|image|>\n"))
    query, plain = Choose(tuple(noise(2)), LABELS), Plain(directory)
    (ballot,) = backend_of(directory).answer([query])
    assert_close(ballot.log_probs, plain.log_probs(query))


@pytest.mark.parametrize(("room", "kept"), [("both trunks", True), ("both trunks but for one image's states", False)])
def test_memory_of_trunks_counts_visual_states(mllama, room, kept):
    family, backend = MllamaFamily(Checkpoint(str(mllama))), backend_of(mllama)
    one, other = [Choose((image,), LABELS) for image in noise(2)]
    text, states = [], []
    for query in (one, other):
        (ballot,) = backend.answer([query])
        text.append(ballot.usage.tokens.trunk * family.kv_bytes)
        (features,) = family.encode([family.picture(query.images[0], True)])
        states.append(family.sights([family.image_token], [features])[0].states[0].nbytes)
    tight = backend_of(mllama)
    tight.limits = Limits(trunk_bytes=round(sum(text) + sum(states) - (0 if kept else states[1])))
    tight.answer([one])
    tight.answer([other])
    (again,) = tight.answer([one])
    assert (again.usage.tokens.trunk == 0) is kept


def test_the_llama_adapter_refuses_other_architectures(qwen3):
    with pytest.raises(ModelError, match="is qwen3_vl, not one of mllama, llama4"):
        llama(str(qwen3)).answer([Choose(tuple(noise(1)), LABELS)])


def test_no_question_gives_no_answer(qwen3):
    assert backend_of(qwen3).answer([]) == []


def test_second_round_reuses_trunk_and_features(qwen3):
    backend = backend_of(qwen3)
    (image,) = noise(1)
    first = backend.answer([Choose((image,), LABELS[:4]), Choose((image,), LABELS[4:])])
    second = backend.answer([Choose((image,), LABELS[2:6])])
    assert sum(ballot.usage.images_encoded for ballot in first) == 1
    assert sum(ballot.usage.forwards for ballot in first) == pytest.approx(2)
    (again,) = second
    assert (again.usage.images_encoded, again.usage.tokens.trunk, again.usage.forwards) == (0, 0, 1)


def test_tokens_forwarded_are_those_of_the_trie(qwen3):
    """The trie that was asked for, counted as the set of all prefixes that any candidate's score needs."""
    backend, queries = backend_of(qwen3), questions(noise(4))
    ballots = backend.answer(queries)
    family = HuggingFaceFamily(Checkpoint(str(qwen3)))
    prefixes, visual = set(), 0
    for query, ballot in zip(queries, ballots, strict=True):
        (prompt,) = family.tokenize([ballot.prompt])
        for option in query.options:
            (name,) = family.tokenize([option.name])
            needed = [*prompt, *(name if begins_another(option.name, query) else name[:-1])]
            prefixes |= {(query.images[0], *needed[:length]) for length in range(1, len(needed) + 1)}
    plain = Plain(qwen3)
    for query in {query.images: query for query in queries}.values():
        # The prompt has one placeholder where the model sees many visual tokens.
        ids = plain.inputs(query)["input_ids"]
        visual += int((ids == family.image_token).sum()) - 1
    spent = sum((ballot.usage.tokens for ballot in ballots), Tokens())
    assert spent.trunk + spent.branch == pytest.approx(len(prefixes) + visual, rel=0.02)


def test_running_out_of_memory_halves_the_budget_and_goes_on(qwen3, caplog):
    queries = questions(noise(3))
    expected = scores(backend_of(qwen3), queries, len(queries))
    backend = backend_of(qwen3)
    load = backend.load

    def cramped():
        family = load()
        forward = family.forward

        def refuse(ids, *rest):
            if len(ids) > 600:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return forward(ids, *rest)

        family.forward = refuse
        return family

    backend.load = cramped
    assert_close(scores(backend, queries, len(queries)), expected)
    assert "at most 512 tokens" in caplog.text
