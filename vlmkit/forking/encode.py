"""Hidden states of a model of which nothing is known: what transformers returns of them, pooled over tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vlmkit.errors import BackendError
from vlmkit.forking.model import ForkingModel, Prompt
from vlmkit.forking.states import model_inputs
from vlmkit.local.features import depths, pooled
from vlmkit.types import Encode
from vlmkit.types.query import ENCODER, PROJECTOR


@torch.inference_mode()
def features_of(model: ForkingModel, query: Encode, prompt: Prompt) -> Mapping[str, NDArray[np.float32]]:
    """Run a whole prompt by itself and return its features by site.

    The visual tokens that leave the projector are those that enter the language model.

    Raises:
        SpecError: The language model has no such layer.
        BackendError: The model's vision encoder or its visual tokens cannot be told.
    """
    wanted = depths(query, int(model.model.config.get_text_config().num_hidden_layers))
    encoded: list[torch.Tensor] = []

    def left(_: Any, __: Any, output: Any) -> None:
        encoded.append(output.last_hidden_state)

    tower = model.model.get_encoder(modality="image")
    if ENCODER in query.at and tower is model.model:
        raise BackendError(f"the vision encoder of {model.checkpoint.model} cannot be told", hint="leave out encoder")
    ids = torch.tensor([prompt.ids])
    hook = tower.register_forward_hook(left) if ENCODER in query.at else None
    try:
        inputs = model_inputs(model.model, prompt.opening, ids)
        out = model.model(**inputs, use_cache=False, output_hidden_states=True, logits_to_keep=1)
    finally:
        if hook is not None:
            hook.remove()
    visual = (ids[0] == (-1 if model.image_token is None else model.image_token)).to(out.hidden_states[0].device)
    chosen = visual if query.over == "image" else ~visual
    if not chosen.any():
        raise BackendError(f"the visual tokens of {model.checkpoint.model} cannot be told", hint="pool over the text")
    states = {site: out.hidden_states[depth][0, chosen] for site, depth in wanted.items()}
    if ENCODER in query.at:
        states[ENCODER] = torch.cat(encoded).flatten(0, -2)
    if PROJECTOR in query.at:
        states[PROJECTOR] = out.hidden_states[0][0, chosen]
    return {site: pooled(states[site], query.pool) for site in query.at}
