"""LoRA: low-rank updates of a model's weights, in a directory that peft wrote, merged into the weights at load."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from attrs import frozen

from vlmkit.errors import ModelError, first_line

RECORD = "training.json"
"""File beside the updates in which ``vlmkit train lora`` says what they were trained on."""

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
"""The files of peft."""


@frozen
class Lora:
    """Updates in a directory.

    Args:
        directory: What peft's ``save_pretrained`` wrote.
    """

    directory: Path

    @classmethod
    def open(cls, directory: Path, *, base: str, base_weights: str | None) -> Self:
        """Make sure that the updates are there and were trained on this base model, as far as can be told.

        Args:
            directory: The directory.
            base: What messages call the base model.
            base_weights: Digest of its weights, or None where it is not known.

        Raises:
            ModelError: A file is missing or damaged, they are no LoRA, or they belong to other weights.
        """
        for name in (CONFIG, WEIGHTS):
            if not (directory / name).is_file():
                raise ModelError(
                    f"LoRA directory {directory} has no {name}",
                    hint="give the --output of a finished vlmkit train lora",
                )
        kind = _read(directory / CONFIG).get("peft_type")
        if kind != "LORA":
            raise ModelError(f"{directory} holds no LoRA but {kind}", hint="only LoRA can be merged")
        trained_on = _trained_on(directory)
        trained_weights = trained_on.get("weights")
        if None not in (trained_weights, base_weights) and trained_weights != base_weights:
            raise ModelError(
                f"LoRA {directory} was trained on other weights than those of {base}",
                hint=f"give the model that it was trained on ({trained_on.get('model')})",
            )
        return cls(directory)

    @property
    def identity(self) -> Mapping[str, str]:
        """What a manifest says of it: its name, and the SHA-256 over both files."""
        sha = hashlib.sha256()
        for name in (CONFIG, WEIGHTS):
            with (self.directory / name).open("rb") as file:
                sha.update(hashlib.file_digest(file, "sha256").digest())
        return {"name": self.directory.resolve().name, "weights": sha.hexdigest()}

    def merged(self, model: torch.nn.Module, base: str) -> torch.nn.Module:
        """Return the model with the updates added to its weights; they then cost nothing.

        In lower precision than float32 the sums are rounded.

        Args:
            model: The base model, on its device.
            base: What messages call it.

        Raises:
            ModelError: They do not fit the model, or peft is missing.
        """
        from safetensors import safe_open

        try:
            from peft import PeftModel, get_peft_model_state_dict
        except ImportError:
            raise ModelError("a LoRA needs peft", hint='pip install "vlmkit[train]"') from None
        device = str(next(model.parameters()).device)
        try:
            with warnings.catch_warnings(action="ignore"):  # what they would say is checked below
                loaded = PeftModel.from_pretrained(model, str(self.directory), torch_device=device)
            with safe_open(self.directory / WEIGHTS, "pt") as file:
                held = set(file.keys())
            taken = set(get_peft_model_state_dict(loaded, save_embedding_layers=False))
            if held != taken:
                raise ValueError(f"{sorted(held ^ taken)[0]} is on one side alone")
            merged: torch.nn.Module = loaded.merge_and_unload()
        except Exception as error:  # on damaged or foreign files the loaders raise nearly anything
            raise ModelError(
                f"LoRA {self.directory} does not fit {base}: {first_line(error)}",
                hint="give the model that it was trained on",
            ) from error
        return merged


def _trained_on(directory: Path) -> Mapping[str, Any]:
    if not (directory / RECORD).is_file():
        return {}
    model = _read(directory / RECORD).get("model")
    return model if isinstance(model, dict) else {}


def _read(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error})", hint="copy or train the LoRA again") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds no JSON object", hint="copy or train the LoRA again")
    return value
