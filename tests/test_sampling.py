"""Replies that are drawn at a temperature."""

from __future__ import annotations

from collections import Counter

import numpy as np
import PIL.Image
import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmkit import Generate, Image
from vlmkit.engine.models import build_backend
from vlmkit.errors import SpecError
from vlmkit.local import sampling
from vlmkit.local.sampling import Sampler, next_tokens
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing.models import shared_checkpoint
from vlmkit.testing.noise import noise
from vlmkit.testing.server import FakeServer, answered_by
from vlmkit_adapters.openai import ServerBackend
from vlmkit_adapters.scripted import ScriptedBackend

LOGITS = torch.tensor([1.0, 3.0, 2.0, -torch.inf])


def draw(temperature: float, seed: int, place: int = 0) -> int:
    return next_tokens(LOGITS[None], [Sampler(temperature, seed)], [place])[0]


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_tokens_are_drawn_from_the_softmax_at_the_temperature(temperature):
    count = 4_000
    seeds = [Sampler(temperature, seed) for seed in range(count)]
    drawn = Counter(next_tokens(LOGITS.expand(count, -1), seeds, [0] * count))
    expected = (LOGITS / temperature).softmax(-1).numpy()
    shares = np.array([drawn[token] / count for token in range(4)])
    # Four standard deviations of a share.
    assert (np.abs(shares - expected) <= 4 * np.sqrt(expected * (1 - expected) / count)).all()


ROWS = st.tuples(st.sampled_from([0.0, 0.7, 5.0]), st.integers(0, 99), st.integers(0, 9))


@settings(max_examples=25)
@given(st.lists(ROWS, min_size=1, max_size=8))
def test_what_is_drawn_depends_on_seed_and_place_alone(rows):
    logits = LOGITS.expand(len(rows), -1)
    together = next_tokens(logits, [Sampler(heat, seed) for heat, seed, _ in rows], [place for *_, place in rows])
    assert together == [draw(*row) for row in rows]
    assert all(token == 1 for token, (heat, *_) in zip(together, rows, strict=True) if not heat)


def test_the_noise_is_finite_where_its_bits_are_all_ones(monkeypatch):
    monkeypatch.setattr(sampling, "_shifted", lambda bits, by: torch.full_like(bits, (1 << (64 - by)) - 1))
    assert next_tokens(torch.zeros(1, 5), [Sampler(1.0)], [0]) == [0]
    assert sampling._gumbel([0], torch.zeros(1, 5)).isfinite().all()


def test_places_and_seeds_draw_differently():
    assert len({draw(2.0, 0, place) for place in range(50)}) == 3
    assert len({draw(2.0, seed) for seed in range(50)}) == 3


@pytest.mark.parametrize("spec", ["{}", "generic:model={}"], ids=["token-trees", "forked-caches"])
def test_a_local_model_draws_alike_alone_and_in_company(spec):
    backend = build_backend(spec.format(shared_checkpoint("qwen2_vl")), Builder(PluginHost.load().registry))
    images = noise(2)
    greedy = Generate(images[:1], "What is this?", max_tokens=6)
    drawn = [evolve(greedy, temperature=3.0, seed=seed, images=(images[seed % 2],)) for seed in range(6)]
    replies = [answer.text for answer in backend.answer([greedy, *drawn])]
    assert len(set(replies)) == 7
    assert [backend.answer([query])[0].text for query in (drawn[4], greedy)] == [replies[5], replies[0]]
    assert backend.answer([evolve(greedy, temperature=1e-6, seed=1)])[0].text == replies[0]
    backend.close()


def picture(shade: int) -> Image:
    return Image(PIL.Image.new("RGB", (8, 8), (shade, 0, 0)))


def test_a_server_gets_temperature_and_seed_and_draws_as_it_does_itself():
    model = ScriptedBackend(accuracy=0.5, truth={picture(1).digest: "a wren"})
    queries = [Generate((picture(1),), "What?", temperature=0.7, seed=seed) for seed in range(8)]
    with FakeServer(answered_by(model)) as server:
        options = {"logprobs": "no", "choices": "none", "length": "max_tokens"}
        backend = ServerBackend(server.model, server.base_url, greedy="yes", **options)
        got = [answer.text for answer in backend.answer(queries)]
        backend.close()
        sent = {(request.body["temperature"], request.body["seed"]) for request in server.requests}
        hot = ServerBackend(server.model, server.base_url, greedy="no", **options)
        hot.answer(queries[:1])
        hot.close()
        last = server.requests[-1].body
    assert sent == {(0.7, seed) for seed in range(8)}
    assert got == [answer.text for answer in model.answer(queries)] and len(set(got)) == 2
    assert not {"temperature", "seed"} & set(last)


def test_a_temperature_below_zero_is_refused():
    with pytest.raises((SpecError, ValueError), match="temperature"):
        Generate((), "What?", temperature=-1.0)
