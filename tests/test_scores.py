"""Scores of every kind of local model against plain full forwards through transformers, one option at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from attrs import evolve

from vlmkit import Choose, Generate, Letter, Likelihood, Reply
from vlmkit.engine.models import build_backend
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing.models import RECIPES, shared_checkpoint
from vlmkit.testing.noise import noise, questions
from vlmkit.testing.plain import Plain
from vlmkit.testing.situations import LABELS
from vlmkit_adapters.tiny import CHECKPOINT

TOLERANCE = 1e-4
"""Largest difference in log-probability, float32, nats."""

BUILDER = Builder(PluginHost.load().registry)


@pytest.fixture(scope="module", params=[*sorted(RECIPES), "tiny", "generic gemma3", "generic mllama"])
def local(request):
    """A checkpoint, and how it is opened; "generic" opens a family that has token trees without them."""
    *adapter, model_type = request.param.split()
    if model_type == "tiny":
        return CHECKPOINT, str(CHECKPOINT)
    directory = shared_checkpoint(model_type)
    return directory, ":model=".join([*adapter, str(directory)])


@pytest.fixture(scope="module")
def plain(local):
    return Plain(local[0])


def backend_of(local):
    return build_backend(local[1], BUILDER)


def assert_close(got: Sequence[float], expected: Sequence[float]) -> None:
    assert np.max(np.abs(np.subtract(got, expected))) < TOLERANCE


def test_likelihood_equals_plain_forwards(local, plain):
    queries = questions(noise(3))
    for query, ballot in zip(queries, backend_of(local).answer(queries), strict=True):
        expected = plain.log_probs(query)
        assert_close(ballot.log_probs, expected)
        assert ballot.choice == query.options[int(np.argmax(expected))].name
        assert ballot.prompt == plain.prompt(query)


def test_what_a_picture_shows_changes_the_scores(local):
    one, other = (ballot.log_probs for ballot in backend_of(local).answer([Choose((i,), LABELS) for i in noise(2)]))
    assert np.max(np.abs(np.subtract(one, other))) > 100 * TOLERANCE


def test_normalisations_letters_none_and_several_images_equal_plain_forwards(local, plain):
    backend = backend_of(local)
    one, two = noise(2)
    base = Choose((one, two), LABELS)
    mean, first, letter, none = backend.answer(
        [
            evolve(base, readout=Likelihood(normalise="mean", end="always")),
            evolve(base, readout=Likelihood(normalise="first")),
            evolve(base, readout=Letter()),
            evolve(base, allow_none=True, readout=Likelihood(end="never")),
        ]
    )
    names = [label.name for label in LABELS]
    ended = [plain.token_log_probs(base, name, end=True) for name in names]
    assert_close(mean.log_probs, [np.mean(each) for each in ended])
    assert_close(first.log_probs, [each[0] for each in ended])
    assert_close(letter.log_probs, plain.log_probs(evolve(base, readout=Letter())))
    offered = evolve(base, allow_none=True)
    assert_close(none.log_probs, [sum(plain.token_log_probs(offered, name)) for name in names])
    assert_close([none.none_log_prob], [sum(plain.token_log_probs(offered, "None"))])


def test_greedy_text_equals_generate(local, plain):
    backend = backend_of(local)
    images = noise(3)
    queries = [Choose((image,), LABELS, readout=Reply(max_tokens=6)) for image in images]
    queries.append(Generate(tuple(images), "What differs?", max_tokens=9))
    queries.append(Generate((), "No image at all", max_tokens=4))
    limits = [6, 6, 6, 9, 4]
    for query, answer, limit in zip(queries, backend.answer(queries), limits, strict=True):
        reply = answer.text if isinstance(query, Generate) else answer.reply
        assert reply == plain.generate(query, limit)


def scores(backend, queries: Sequence[Choose], size: int) -> list[float]:
    chunks = [queries[start : start + size] for start in range(0, len(queries), size)]
    return [score for chunk in chunks for ballot in backend.answer(chunk) for score in ballot.log_probs]


@pytest.fixture(scope="module")
def together(local):
    """Questions, and their scores when asked all at once."""
    queries = questions(noise(6))
    return queries, scores(backend_of(local), queries, len(queries))


@pytest.mark.parametrize("size", [1, 3, 17])
def test_batch_size_and_neighbours_never_change_a_score(local, together, size):
    queries, expected = together
    assert_close(scores(backend_of(local), queries, size), expected)
