"""The next token of a reply: the likeliest, or one that is drawn."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from attrs import frozen

_STEP, _MIX = -0x61C8864680B583EB, (-0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15)
"""The constants of SplitMix64, as signed numbers."""


@frozen
class Sampler:
    """How the tokens of one reply are chosen.

    Args:
        temperature: What logits are divided by before a token is drawn; at 0 the likeliest is taken.
        seed: Fixes what is drawn.
    """

    temperature: float = 0.0
    seed: int = 0


def next_tokens(logits: torch.Tensor, samplers: Sequence[Sampler], places: Sequence[int]) -> list[int]:
    """Return the next token of every reply, by the Gumbel-max trick where it is drawn.

    What is drawn depends on logits, seed and place alone: on no generator's state, so that neighbours and repeated
    forwards change nothing, and on no device but for rounding.

    Args:
        logits: Next-token logits, [n, V].
        samplers: One for each reply.
        places: How many tokens each reply has already.
    """
    scores = logits.float()
    if drawn := [row for row, sampler in enumerate(samplers) if sampler.temperature]:
        temperatures = torch.tensor([samplers[row].temperature for row in drawn], device=scores.device)
        seeds = [random.Random(f"{samplers[row].seed} {places[row]}").getrandbits(63) for row in drawn]
        scores = scores.clone()
        scores[drawn] = scores[drawn] / temperatures[:, None] + _gumbel(seeds, scores)
    return [int(token) for token in scores.argmax(-1).tolist()]


def _gumbel(seeds: Sequence[int], like: torch.Tensor) -> torch.Tensor:
    """Return Gumbel noise, float32 [seeds, V].

    Source: G. Steele, D. Lea, C. Flood, Fast splittable pseudorandom number generators (SplitMix64), OOPSLA 2014.
    """
    counters = torch.arange(1, like.shape[-1] + 1, device=like.device)
    bits = torch.tensor(seeds, device=like.device)[:, None] + counters * _STEP
    for shift, factor in zip((30, 27), _MIX, strict=True):
        bits = (bits ^ _shifted(bits, shift)) * factor
    bits = bits ^ _shifted(bits, 31)
    # With 23 bits the half is exact in float32, and keeps 0 and 1 out: their noise would be infinite.
    uniform = (_shifted(bits, 41).float() + 0.5) / 2**23
    return -(-uniform.log()).log()


def _shifted(bits: torch.Tensor, by: int) -> torch.Tensor:
    """Shift to the right and fill with zeros; torch's own shift fills with the sign."""
    return (bits >> by) & ((1 << (64 - by)) - 1)
