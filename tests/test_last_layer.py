"""The last layer computes what is read and no more; that scores stay right is in ``test_scores.py``."""

from __future__ import annotations

import pytest
from attrs import evolve

from vlmkit.engine.models import build_backend
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing.models import shared_checkpoint
from vlmkit.testing.noise import noise, questions
from vlmkit.types import Letter


@pytest.mark.parametrize("kind", ["qwen3_vl", "qwen3_vl_moe", "gemma3", "gemma4", "internvl", "mllama"])
def test_the_last_feed_forward_sees_the_tokens_that_are_read_alone(kind):
    backend = build_backend(str(shared_checkpoint(kind)), Builder(PluginHost.load().registry))
    family = backend.load()
    backend.load = lambda: family
    seen = {}
    for index in (-2, -1):
        family.layers[index].mlp.register_forward_hook(
            lambda _, args, __, index=index: seen.setdefault(index, []).append(args[0].shape[-2])
        )
    queries = [evolve(query, readout=Letter()) for query in questions(noise(3))]
    ballots = backend.answer(queries)
    assert sum(seen[-2]) == sum(ballot.usage.tokens.total for ballot in ballots)
    assert sum(seen[-1]) == len(queries) + 3  # one position a question, and one a trunk, where nothing is read
