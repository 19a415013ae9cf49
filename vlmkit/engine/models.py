"""From what a user calls a model to a backend: an adapter's spec, a checkpoint directory, or a hub id."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from vlmkit.contracts import Backend
from vlmkit.errors import ModelError, UnknownNameError, first_line
from vlmkit.registry import Builder, Registry, Spec


class Loading(TypedDict, total=False):
    """How a model is loaded; what is left out or None is the model's choice.

    Args:
        device: Device for the weights: ``cuda``, ``cuda:1``, ``cpu``.
        dtype: Precision of the weights: ``float32``, ``bfloat16``, ``float16``.
        revision: Branch, tag or commit on the hub.
        trust_remote_code: Whether the checkpoint's own code may run.
        lora: Directory of a LoRA that is merged into the weights.
        base_url: Address of the server that an adapter for servers asks, or several, each as ``URL`` or
            ``URL;weight=2``.
    """

    device: str | None
    dtype: str | None
    revision: str | None
    trust_remote_code: bool
    lora: str | Path | None
    base_url: str | Sequence[str] | None


_OTHER_WEIGHTS = (".bin", ".pt", ".pth", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx")


def build_backend(
    model: str,
    builder: Builder,
    *,
    weights: bool = True,
    **loading: Unpack[Loading],
) -> Backend:
    """Build the backend that ``model`` names; loads no weights.

    Args:
        model: An adapter with options (``tiny``, ``scripted:accuracy=0.9``), a checkpoint directory, or a hub id.
        builder: Builds the adapter.
        weights: Whether a checkpoint directory must hold weights.
        **loading: How it is loaded.

    Raises:
        ModelError: There is no such model, or nothing here can load it.
        SpecError: The adapter's options do not fit, or it does not take one that was given here.
    """
    registry = builder.registry
    lora, urls = loading.get("lora"), loading.get("base_url") or ()
    common: dict[str, Any] = {
        **loading,
        "lora": None if lora is None else str(lora),
        "base_url": ((urls,) if isinstance(urls, str) else tuple(urls)) or None,
    }
    adapters = {entry.name: entry for entry in registry.entries("adapter")}
    name = model.partition(":")[0]
    if name in adapters:
        if lora is not None and adapters[name].branching == "server":
            raise ModelError(
                f"adapter {name} asks a server, whose weights no LoRA can be merged into here",
                hint="let the server load the LoRA, and ask for it by its name there",
            )
        backend: Backend = builder.entry(adapters[name], Spec.parse(model), **common)
        return backend
    # Path's own ways raise for ~NAME of nobody, and for a name that is too long.
    directory = Path(os.path.expanduser(model))
    if os.path.isdir(directory):
        model, config = str(directory), _local_config(directory)
        if weights:
            _check_weights(directory)
    else:
        _check_hub_id(model, registry)
        config = _hub_config(model, loading.get("revision"))
    entry = _adapter_for(model, config, registry)
    backend = builder.entry(entry, Spec(entry.name), model=model, **common)
    return backend


def _check_hub_id(model: str, registry: Registry) -> None:
    if os.path.isfile(model):
        raise ModelError(f"model {model} is a file", hint="give the directory that holds its config.json")
    if model.count("/") == 1 and not model.startswith((".", "/", "~")):
        return
    if "/" in model or model.startswith("."):
        raise ModelError(f"there is no model directory {model}", hint="check the path")
    unknown = UnknownNameError("adapter", model.partition(":")[0], (e.name for e in registry.entries("adapter")))
    end = "" if unknown.hint.endswith("?") else "."
    raise ModelError(
        f"model {model!r} is no adapter and no directory", hint=f"{unknown.hint}{end} A hub id has the form OWNER/NAME"
    )


def _check_weights(directory: Path) -> None:
    if any(directory.glob("*.safetensors")):
        return
    others = sorted(path.name for path in directory.iterdir() if path.suffix in _OTHER_WEIGHTS)
    raise ModelError(
        f"model directory {directory} holds no *.safetensors, and only safetensors are loaded"
        + (f" (it holds {', '.join(others)})" if others else ""),
        hint="save the model with save_pretrained(), which writes safetensors",
    )


def _local_config(directory: Path) -> Mapping[str, Any]:
    path = directory / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"model directory {directory} has no config.json", hint="give the directory that save_pretrained() wrote"
        ) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error})", hint="download the model again") from error
    if not isinstance(config, dict):
        raise ModelError(f"{path} holds no JSON object", hint="download the model again")
    return config


def _hub_config(model: str, revision: str | None) -> Mapping[str, Any]:
    """Fetch the configuration alone; no code of the checkpoint runs."""
    from transformers import PreTrainedConfig

    try:
        config, _ = PreTrainedConfig.get_config_dict(model, revision=revision)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"model {model} cannot be fetched from the hub ({first_line(error)})",
            hint="check the name and the network, or give the directory of a downloaded copy",
        ) from error
    fetched: Mapping[str, Any] = config
    return fetched


def _adapter_for(model: str, config: Mapping[str, Any], registry: Registry) -> Any:
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise ModelError(f"the config.json of {model} has no model_type", hint="is it a transformers checkpoint?")
    entry = registry.adapter_for(model_type)
    if entry is None:
        known = sorted({name for entry in registry.entries("adapter") for name in entry.model_types})
        raise ModelError(
            f"no adapter loads model_type {model_type!r} of {model}", hint=f"supported: {', '.join(known) or 'none'}"
        )
    return entry
