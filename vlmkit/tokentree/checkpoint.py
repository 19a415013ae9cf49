"""Checkpoints on disk or on the hub: what can be known before weights load, and how they load."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from attrs import frozen

from vlmkit.errors import ModelError
from vlmkit.tokentree.attention import ATTENTION, register_attention

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""The precisions that a model can be loaded in."""


@frozen
class Checkpoint:
    """Where a model lies and how it is to be loaded.

    Args:
        model: Directory or hub id.
        device: ``cuda``, ``cuda:1``, ``cpu``; None takes CUDA where there is one.
        dtype: One of ``DTYPES``; None takes bfloat16 on CUDA and float32 on the CPU.
        revision: Hub revision.
        trust_remote_code: Whether code in the checkpoint may run.
    """

    model: str
    device: str | None = None
    dtype: str | None = None
    revision: str | None = None
    trust_remote_code: bool = False

    def __attrs_post_init__(self) -> None:
        if self.dtype is not None and self.dtype not in DTYPES:
            raise ModelError(f"unknown dtype {self.dtype!r}", hint=f"use one of {', '.join(DTYPES)}")
        try:
            wanted = self.torch_device
        except RuntimeError:
            raise ModelError(f"unknown device {self.device!r}", hint="use cpu, cuda or cuda:N") from None
        if wanted.type == "cuda" and not torch.cuda.is_available():
            raise ModelError("device cuda was asked for, but there is none", hint="use --device cpu")

    @property
    def torch_device(self) -> torch.device:
        """The device to load on."""
        return torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))

    @property
    def torch_dtype(self) -> torch.dtype:
        """The precision to load in."""
        default = "bfloat16" if self.torch_device.type == "cuda" else "float32"
        return DTYPES[self.dtype or default]

    @property
    def identity(self) -> Mapping[str, Any]:
        """What a manifest says of the checkpoint: name, revision, weights, precision, device."""
        directory = Path(self.model)
        device = self.torch_device
        return {
            "model": directory.name if directory.is_dir() else self.model,
            "revision": self.revision,
            "weights": weights_digest(directory) if directory.is_dir() else None,
            "dtype": str(self.torch_dtype).removeprefix("torch."),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        }

    def load_model(self) -> torch.nn.Module:
        """Load the weights, from safetensors only, with tree attention in the language model.

        Raises:
            ModelError: They cannot be loaded.
        """
        from transformers import AutoModelForImageTextToText

        register_attention()
        try:
            with _no_progress_bar():
                model: torch.nn.Module = AutoModelForImageTextToText.from_pretrained(
                    self.model,
                    dtype=self.torch_dtype,
                    attn_implementation={"text_config": ATTENTION, "vision_config": "sdpa"},
                    use_safetensors=True,
                    **self._options,
                )
        except (OSError, ValueError, ImportError) as error:
            raise ModelError(
                f"model {self.model} cannot be loaded: {_first_line(error)}", hint="see vlmkit doctor"
            ) from error
        return model.to(self.torch_device).eval()

    def load_processor(self) -> Any:
        """Load tokenizer, image processor and chat template.

        Raises:
            ModelError: They cannot be loaded.
        """
        from transformers import AutoProcessor

        try:
            processor = AutoProcessor.from_pretrained(self.model, **self._options)
        except (OSError, ValueError, ImportError) as error:
            raise ModelError(
                f"the processor of model {self.model} cannot be loaded: {_first_line(error)}",
                hint="the directory needs tokenizer, preprocessor and chat template files",
            ) from error
        if getattr(processor, "chat_template", None) is None:
            raise ModelError(f"model {self.model} has no chat template", hint="use an instruction-tuned checkpoint")
        return processor

    @property
    def _options(self) -> dict[str, Any]:
        return {"revision": self.revision, "trust_remote_code": self.trust_remote_code}


def weights_digest(directory: Path) -> str:
    """Return SHA-256, hexadecimal, over name, size, header and last MiB of every weight file.

    Not over all bytes: an 8-billion-parameter checkpoint would take a minute.
    """
    sha = hashlib.sha256()
    for path in sorted(directory.glob("*.safetensors")):
        size = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(8)
            header += file.read(min(size, int.from_bytes(header, "little")))
            file.seek(max(0, size - 2**20))
            sha.update(json.dumps([path.name, size]).encode() + header + file.read())
    return sha.hexdigest()


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Keep transformers' own bar off the terminal, where the run's bar is."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
