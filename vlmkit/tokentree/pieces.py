"""Norms of a language model on a CPU, a few tokens at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch

TOKENS_AT_ONCE = 1024
"""Tokens of a piece: what a norm computes of them in between, in float32, stays in the caches."""


def norm_in_pieces(layer: torch.nn.Module) -> None:
    """Let the norms of a layer, made of several passes over all states, make them piece by piece; results are the same.

    Over a long forward every pass would read and write memory, which no further core makes quicker.
    """
    for module in layer.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = _in_pieces(module.forward)


def _in_pieces(forward: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    def pieces(states: torch.Tensor) -> torch.Tensor:
        if states.shape[1] <= TOKENS_AT_ONCE:
            return forward(states)
        return torch.cat([forward(piece) for piece in torch.split(states, TOKENS_AT_ONCE, dim=1)], dim=1)

    return pieces
