"""Llama models with vision: two architectures under one name; the checkpoint says which."""

from __future__ import annotations

from vlmkit.errors import ModelError
from vlmkit.tokentree import Checkpoint, HuggingFaceFamily, TokenTreeBackend
from vlmkit_adapters.llama4 import Llama4Family
from vlmkit_adapters.mllama import MllamaFamily

_FAMILIES = {"mllama": MllamaFamily, "llama4": Llama4Family}


def llama(
    model: str,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> TokenTreeBackend:
    """Return a backend for a Llama checkpoint; weights load at the first query.

    Args:
        model: Directory or hub id.
        device: ``cuda``, ``cuda:1``, ``cpu``; by default CUDA where there is one.
        dtype: ``float32``, ``bfloat16`` or ``float16``; by default bfloat16 on CUDA, float32 on the CPU.
        revision: Hub revision.
        trust_remote_code: Whether code in the checkpoint may run.

    Raises:
        ModelError: Device or dtype cannot be had.
    """
    checkpoint = Checkpoint(model, device, dtype, revision, trust_remote_code)
    return TokenTreeBackend(lambda: _load(checkpoint), checkpoint.identity)


def _load(checkpoint: Checkpoint) -> HuggingFaceFamily:
    family = _FAMILIES.get(checkpoint.model_type)
    if family is None:
        raise ModelError(
            f"model {checkpoint.model} is no Llama with vision but {checkpoint.model_type}",
            hint="leave the adapter out: the checkpoint's own is found",
        )
    return family(checkpoint)
