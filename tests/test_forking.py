"""Forked caches: what is chosen, counted, remembered and survived; the scores themselves: ``test_scores.py``."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from vlmkit import Choose, Tokens
from vlmkit.engine.models import build_backend
from vlmkit.errors import ModelError
from vlmkit.forking import ForkingBackend
from vlmkit.local import budget
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing.models import shared_checkpoint, small_checkpoint
from vlmkit.testing.noise import begins_another, noise, questions
from vlmkit.testing.plain import Plain
from vlmkit.testing.situations import LABELS
from vlmkit.tokentree import Limits, TokenTreeBackend

TOLERANCE = 1e-4
"""Largest difference in log-probability, float32, nats."""

BUILDER = Builder(PluginHost.load().registry)


@pytest.fixture(scope="module")
def qwen3_5():
    return shared_checkpoint("qwen3_5")


def assert_close(got: Sequence[float], expected: Sequence[float]) -> None:
    assert np.max(np.abs(np.subtract(got, expected))) < TOLERANCE


def scores(backend: ForkingBackend, queries: Sequence[Choose]) -> list[float]:
    return [score for ballot in backend.answer(queries) for score in ballot.log_probs]


def with_forward(backend: ForkingBackend, change) -> ForkingBackend:
    """Return the backend with its model's forward wrapped as soon as it is loaded."""
    load = backend.load

    def changed():
        loaded = load()
        loaded.model.forward = change(loaded.model, loaded.model.forward)
        return loaded

    backend.load = changed
    return backend


def test_a_type_without_an_adapter_of_its_own_is_forked(qwen3_5, tmp_path):
    directory = small_checkpoint("gemma3", tmp_path)
    assert isinstance(build_backend(str(qwen3_5), BUILDER), ForkingBackend)
    assert isinstance(build_backend(str(directory), BUILDER), TokenTreeBackend)
    assert isinstance(build_backend(f"generic:model={directory}", BUILDER), ForkingBackend)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "qwen3"}, "model_type 'qwen3' of .* takes no images and text together"),
        ({"model_type": "tomorrow_vl"}, r"transformers [\d.]+ does not know model_type 'tomorrow_vl'"),
    ],
)
def test_what_reads_no_images_is_refused_before_it_loads(tmp_path, config, message):
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").touch()
    for model in (str(tmp_path), f"generic:model={tmp_path}"):
        with pytest.raises(ModelError, match=message):
            build_backend(model, BUILDER)


def test_a_directory_without_a_configuration_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"has no config\.json that tells its model_type"):
        build_backend(f"generic:model={tmp_path}", BUILDER)


def test_a_cache_that_goes_on_wrongly_is_not_forked_and_scores_stay_right(qwen3_5, caplog):
    def forgetful(model, forward):
        def run(*args, past_key_values=None, **inputs):
            if past_key_values is not None:
                model.model.rope_deltas = torch.zeros(1, 1, dtype=torch.int64)  # as if the image had no width
            return forward(*args, past_key_values=past_key_values, **inputs)

        return run

    plain, queries = Plain(qwen3_5), questions(noise(2))
    ballots = with_forward(build_backend(str(qwen3_5), BUILDER), forgetful).answer(queries)
    for query, ballot in zip(queries, ballots, strict=True):
        assert_close(ballot.log_probs, plain.log_probs(query))
        assert ballot.usage.images_encoded == ballot.usage.forwards > 1  # each forward sees the image anew
    assert "cannot be forked (logits differ by" in caplog.text


def test_running_out_of_memory_halves_the_budget_and_goes_on(qwen3_5, caplog):
    def cramped(_, forward):
        def run(input_ids, past_key_values=None, **inputs):
            behind = 0 if past_key_values is None else past_key_values.get_seq_length()
            if input_ids.shape[0] * (behind + input_ids.shape[1]) > 600:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return forward(input_ids=input_ids, past_key_values=past_key_values, **inputs)

        return run

    queries = questions(noise(2))
    expected = scores(build_backend(str(qwen3_5), BUILDER), queries)
    assert_close(scores(with_forward(build_backend(str(qwen3_5), BUILDER), cramped), queries), expected)
    assert "at most 512 tokens" in caplog.text


@pytest.mark.parametrize("limits", [Limits(tokens=1), Limits(trunk_bytes=1)], ids=["row by row", "no room for trunks"])
def test_budgets_never_change_a_score(qwen3_5, limits):
    tight, queries = build_backend(str(qwen3_5), BUILDER), questions(noise(2))
    tight.limits = limits
    assert_close(scores(tight, queries), scores(build_backend(str(qwen3_5), BUILDER), queries))


def test_few_logits_at_once_never_change_a_score(qwen3_5, monkeypatch):
    queries = questions(noise(2))
    expected = scores(build_backend(str(qwen3_5), BUILDER), queries)
    monkeypatch.setattr(budget, "LOGIT_BYTES", 1)
    assert_close(scores(build_backend(str(qwen3_5), BUILDER), queries), expected)


def test_every_token_is_counted_once(qwen3_5):
    """Candidates pay for all but their last token, and nothing where they begin another one."""
    (image,) = noise(1)
    queries = [Choose((image,), LABELS[:4]), Choose((image,), LABELS[3:])]
    first = build_backend(str(qwen3_5), BUILDER)
    ballots = first.answer(queries)
    plain = Plain(qwen3_5)
    tokenizer = plain.processor.tokenizer
    one, other = (plain.inputs(query)["input_ids"][0].tolist() for query in queries)
    shared = next(place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    run = 0
    for query in queries:
        names = {label.name: tuple(tokenizer(label.name)["input_ids"]) for label in query.options}
        paths = {ids if begins_another(name, query) else ids[:-1] for name, ids in names.items()}
        run += sum(len(a) for a in paths if not any(b != a and b[: len(a)] == a for b in paths))
    spent = sum((ballot.usage.tokens for ballot in ballots), Tokens())
    assert spent == Tokens(trunk=shared, branch=len(one) + len(other) - 2 * shared + run)
    assert [ballot.usage.images_encoded for ballot in ballots] == [1, 0]
    # The image, the fixed words, then the stem and the candidates of each question.
    assert sum(ballot.usage.forwards for ballot in ballots) == pytest.approx(2 + 2 * 2)


def test_second_round_reuses_the_image(qwen3_5):
    backend = build_backend(str(qwen3_5), BUILDER)
    (image,) = noise(1)
    backend.answer([Choose((image,), LABELS[:4]), Choose((image,), LABELS[4:])])
    (again,) = backend.answer([Choose((image,), LABELS[2:6])])
    assert (again.usage.images_encoded, again.usage.tokens.trunk, again.usage.forwards) == (0, 0, 2)


def test_no_question_gives_no_answer(qwen3_5):
    assert build_backend(str(qwen3_5), BUILDER).answer([]) == []
