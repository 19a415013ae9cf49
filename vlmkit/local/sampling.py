"""The next token of a reply: the likeliest, or one that is drawn."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from attrs import frozen


@frozen
class Sampler:
    """How the tokens of one reply are chosen.

    Args:
        temperature: What logits are divided by before a token is drawn; at 0 the likeliest is taken.
        seed: Fixes what is drawn.
    """

    temperature: float = 0.0
    seed: int = 0

    def noise(self, place: int, size: int) -> torch.Tensor:
        """Return Gumbel noise for the token at ``place`` of the reply, float32 [size], on the CPU.

        It depends on seed and place alone, so that neighbours, batches and repeated forwards draw alike on any device.
        """
        generator = torch.Generator().manual_seed(random.Random(f"{self.seed} {place}").getrandbits(32))
        waits = torch.empty(size).exponential_(generator=generator)
        return -waits.clamp_min_(torch.finfo(waits.dtype).tiny).log_()


def next_tokens(logits: torch.Tensor, samplers: Sequence[Sampler], places: Sequence[int]) -> list[int]:
    """Return the next token of every reply, by the Gumbel-max trick where it is drawn.

    Args:
        logits: Next-token logits, [n, V].
        samplers: One for each reply.
        places: How many tokens each reply has already.
    """
    scores = logits.float()
    if drawn := [row for row, sampler in enumerate(samplers) if sampler.temperature]:
        temperatures = torch.tensor([samplers[row].temperature for row in drawn], device=scores.device)
        noise = torch.stack([samplers[row].noise(places[row], scores.shape[-1]) for row in drawn])
        scores = scores.clone()
        scores[drawn] = scores[drawn] / temperatures[:, None] + noise.to(scores.device)
    return [int(token) for token in scores.argmax(-1).tolist()]
