"""The embedded model: a Qwen3-VL of 1.4 million parameters that reads lists of glyph labels; see its README.md.

An ordinary checkpoint on the ordinary path of the ``qwen`` adapter: nothing here but where it lies.
"""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from vlmkit.tokentree import TokenTreeBackend
from vlmkit_adapters.qwen import qwen

CHECKPOINT = Path(__file__).parent / "checkpoint"
"""The model directory, loadable by transformers."""


def tiny(device: str | None = None, dtype: str | None = None, lora: str | None = None) -> TokenTreeBackend:
    """Return a backend for the embedded model.

    Args:
        device: ``cuda``, ``cuda:1``, ``cpu``; by default CUDA where there is one.
        dtype: ``float32``, ``bfloat16`` or ``float16``; by default bfloat16 on CUDA, float32 on the CPU.
        lora: Directory of a LoRA that is merged into the weights.

    Raises:
        ModelError: Device or dtype cannot be had, or the LoRA is not there.
    """
    backend = qwen(str(CHECKPOINT), device, dtype, lora=lora)
    return evolve(backend, describe={**backend.describe, "model": "tiny"})
