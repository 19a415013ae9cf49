"""What all local models do alike with hidden states: find the layers that a query asks for, pool over tokens."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from vlmkit.errors import SpecError
from vlmkit.types import Encode
from vlmkit.types.query import Pool, layer_of


def depths(query: Encode, layers: int) -> dict[str, int]:
    """Return the number of layers that lie behind each site in a language model of so many layers.

    Sites before the language model are left out.

    Raises:
        SpecError: There are not that many layers.
    """
    numbers = {site: number for site in query.at if (number := layer_of(site)) is not None}
    for site, number in numbers.items():
        if not -layers - 1 <= number <= layers:
            raise SpecError(f"there is no {site} in {layers} layers", hint=f"give layer:0 to layer:{layers}")
    return {site: number % (layers + 1) for site, number in numbers.items()}


def pooled(states: torch.Tensor, pool: Pool) -> NDArray[np.float32]:
    """Return one vector, float32 [hidden], of hidden states [tokens, hidden]."""
    vector = states[-1] if pool == "last" else states.float().mean(0)
    found: NDArray[np.float32] = vector.float().cpu().numpy()
    return found
