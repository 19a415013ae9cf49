"""Which parts of a model a LoRA updates: linear maps in the decoder layers of its language model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from vlmkit.errors import ModelError, UnknownNameError


def target_modules(model: Any, layers: tuple[int, int] | None, names: Sequence[str]) -> list[str]:
    """Return the full names of the maps to update; vision tower, projector, embeddings and head are never among them.

    Args:
        model: A vision-language model of transformers.
        layers: First and last layer, counted from 0; None for all.
        names: Names of the maps in a layer, such as ``q_proj``; empty for all: attention and MLP.

    Raises:
        ModelError: It has no such layers.
        UnknownNameError: It has no map of a name.
    """
    decoder = model.get_decoder()
    stack = getattr(decoder, "layers", None)
    if not isinstance(stack, torch.nn.ModuleList):
        raise ModelError(f"{type(model).__name__} has no decoder layers that are known", hint="train another model")
    first, last = layers or (0, len(stack) - 1)
    if last >= len(stack):
        raise ModelError(f"there is no layer {last}: the model has {len(stack)}", hint=f"use 0-{len(stack) - 1}")
    found = [
        (f"layers.{index}.{name}", name.rpartition(".")[2])
        for index in range(first, last + 1)
        for name, module in stack[index].named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    known = {name for _, name in found}
    for name in names:
        if name not in known:
            raise UnknownNameError("target", name, known)
    (place,) = [name for name, module in model.named_modules() if module is decoder]
    return [f"{place}.{path}" for path, name in found if not names or name in names]
