"""Checkpoints on disk or on the hub: what can be known before weights load, and how they load."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from attrs import evolve, frozen

from vlmkit.contracts import Backend
from vlmkit.errors import ModelError, first_line
from vlmkit.local.allocator import keep_freed_memory
from vlmkit.local.attention import VISION_ATTENTION, register_vision_attention
from vlmkit.local.digests import beside_weights, weights_digest
from vlmkit.local.lora import Lora

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
        lora: Directory of a LoRA that is merged into the weights.
        weights: Whether its weights are loaded; else the model has their shapes and nothing in them.
    """

    model: str
    device: str | None = None
    dtype: str | None = None
    revision: str | None = None
    trust_remote_code: bool = False
    lora: str | None = None
    weights: bool = True

    def __attrs_post_init__(self) -> None:
        if self.dtype is not None and self.dtype not in DTYPES:
            raise ModelError(f"unknown dtype {self.dtype!r}", hint=f"use one of {', '.join(DTYPES)}")
        try:
            wanted = self.torch_device
        except RuntimeError:
            wanted = None
        if wanted is None or wanted.type not in ("cpu", "cuda"):
            raise ModelError(f"unknown device {self.device!r}", hint="use cpu, cuda or cuda:N")
        if wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count():
            raise ModelError(f"device {wanted} was asked for, but there is none", hint="use --device cpu")
        self._lora()

    def _lora(self) -> Lora | None:
        if self.lora is None:
            return None
        return Lora.open(Path(os.path.expanduser(self.lora)), base=self.model, base_weights=self._digest)

    @property
    def _digest(self) -> str | None:
        directory = Path(self.model)
        return weights_digest(directory) if directory.is_dir() else None

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
        """What a manifest says of the checkpoint: name, revision, weights, precision, device, LoRA, trust in code."""
        directory = Path(self.model)
        device = self.torch_device
        lora = self._lora()
        return {
            "model": directory.name if directory.is_dir() else self.model,
            "revision": self.revision,
            "weights": self._digest,
            "dtype": str(self.torch_dtype).removeprefix("torch."),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
            **({"trust_remote_code": True} if self.trust_remote_code else {}),
            **({} if lora is None else {"lora": lora.identity}),
        }

    @cached_property
    def files(self) -> str | None:
        """What tells apart what lies beside the weights, such as chat template and tokenizer.

        Raises:
            ModelError: It cannot be found out.
        """
        return beside_weights(self.model, self.revision)

    @property
    def without_weights(self) -> Checkpoint:
        """The same checkpoint, of which no weights load."""
        return evolve(self, weights=False)

    @property
    def model_type(self) -> str:
        """What its configuration says that it is.

        Raises:
            ModelError: It cannot be read.
        """
        return str(self._config.get("model_type"))

    def check_reads_images(self) -> None:
        """Make sure, from the configuration alone, that transformers can load this as a vision-language model.

        Raises:
            ModelError: It cannot, or the configuration cannot be read.
        """
        from transformers import __version__
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
        from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

        config = self._config
        model_type = config.get("model_type")
        if model_type is None:
            raise ModelError(
                f"model {self.model} has no config.json that tells its model_type",
                hint="give a hub id or the directory that save_pretrained() wrote",
            )
        own_code = "AutoModelForImageTextToText" in (config.get("auto_map") or ())
        if model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES or (own_code and self.trust_remote_code):
            return
        if model_type in CONFIG_MAPPING_NAMES:
            raise ModelError(
                f"model_type {model_type!r} of {self.model} takes no images and text together",
                hint="use a vision-language checkpoint",
            )
        raise ModelError(
            f"transformers {__version__} does not know model_type {model_type!r} of {self.model}",
            hint="add --trust-remote-code if you trust its own code" if own_code else "upgrade transformers",
        )

    @property
    def _config(self) -> Mapping[str, Any]:
        from transformers import PreTrainedConfig

        try:
            config, _ = PreTrainedConfig.get_config_dict(self.model, revision=self.revision)
        except (OSError, ValueError) as error:
            raise ModelError(
                f"the config.json of model {self.model} cannot be read: {first_line(error)}",
                hint="give a hub id or the directory that save_pretrained() wrote",
            ) from error
        found: Mapping[str, Any] = config
        return found

    def load_model(self, attention: str | None = None) -> torch.nn.Module:
        """Load the weights, from safetensors only, and merge the LoRA into them.

        A checkpoint without weights makes a model on the meta device.

        Args:
            attention: Name of the language model's attention function, registered with transformers, beside which
                the vision tower gets ``VISION_ATTENTION``; None for the model's defaults.

        Raises:
            ModelError: They cannot be loaded, or some are missing or of another shape than the configuration says.
        """
        from transformers import AutoModelForImageTextToText

        if not self.weights:
            return self._empty_model()
        if self.torch_device.type == "cpu":
            keep_freed_memory()
        chosen = {}
        if attention:
            register_vision_attention()
            chosen = {"attn_implementation": {"text_config": attention, "vision_config": VISION_ATTENTION}}
        model: torch.nn.Module
        try:
            with quiet():
                model, found = AutoModelForImageTextToText.from_pretrained(
                    self.model,
                    dtype=self.torch_dtype,
                    use_safetensors=True,
                    output_loading_info=True,
                    **chosen,
                    **self._options,
                )
            model.to(self.torch_device)  # which may be too small for it
        except Exception as error:  # on damaged files the loaders raise nearly anything
            # Which shapes do not fit, transformers says in its report alone.
            unfit = "ignore_mismatched_sizes" in str(error)
            reason = "its weights do not fit its config.json" if unfit else first_line(error)
            raise ModelError(
                f"model {self.model} cannot be loaded: {reason}", hint="if its files are damaged, download it again"
            ) from error
        if found["missing_keys"]:  # transformers fills them with random numbers and goes on
            missing = sorted(found["missing_keys"])
            raise ModelError(
                f"model {self.model} lacks weights: {missing[0]} and {len(missing) - 1:,} more",
                hint="download it again",
            )
        lora = self._lora()
        return (model if lora is None else lora.merged(model, self.model)).eval()

    def _empty_model(self) -> torch.nn.Module:
        from transformers import AutoConfig, AutoModelForImageTextToText, GenerationConfig

        try:
            config = AutoConfig.from_pretrained(self.model, **self._options)
            with quiet(), torch.device("meta"):
                model: torch.nn.Module = AutoModelForImageTextToText.from_config(
                    config, dtype=self.torch_dtype, trust_remote_code=self.trust_remote_code
                )
        except Exception as error:  # on damaged files the loaders raise nearly anything
            raise ModelError(
                f"no model can be made from the config.json of {self.model}: {first_line(error)}",
                hint="download it again, or upgrade transformers",
            ) from error
        with suppress(OSError):  # it is optional
            model.generation_config = GenerationConfig.from_pretrained(self.model, revision=self.revision)
        return model.eval()

    def load_processor(self) -> Any:
        """Load tokenizer, image processor and chat template.

        Raises:
            ModelError: They cannot be loaded.
        """
        from transformers import AutoProcessor

        try:
            processor = AutoProcessor.from_pretrained(self.model, **self._options)
        except Exception as error:  # on damaged files the loaders raise nearly anything
            raise ModelError(
                f"the processor of model {self.model} cannot be loaded: {first_line(error)}",
                hint="the directory needs tokenizer, preprocessor and chat template files",
            ) from error
        # Without files transformers makes a tokenizer of special tokens alone.
        tokenizer = getattr(processor, "tokenizer", None)
        if tokenizer is None or len(tokenizer) <= len(tokenizer.all_special_ids):
            raise ModelError(f"model {self.model} has no tokenizer", hint="its directory needs a tokenizer.json")
        if getattr(processor, "chat_template", None) is None:
            raise ModelError(f"model {self.model} has no chat template", hint="use an instruction-tuned checkpoint")
        return processor

    @property
    def _options(self) -> dict[str, Any]:
        return {"revision": self.revision, "trust_remote_code": self.trust_remote_code}


B = TypeVar("B", bound=Backend)


def opener(make: Callable[[Checkpoint], B]) -> Callable[..., B]:
    """Return the factory of an adapter: it takes the options that every checkpoint has, and makes a backend of one."""

    def opened(
        model: str,
        device: str | None = None,
        dtype: str | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        lora: str | None = None,
    ) -> B:
        """Return a backend; weights load at the first query.

        Args:
            model: Directory or hub id.
            device: ``cuda``, ``cuda:1``, ``cpu``; by default CUDA where there is one.
            dtype: ``float32``, ``bfloat16`` or ``float16``; by default bfloat16 on CUDA, float32 on the CPU.
            revision: Hub revision.
            trust_remote_code: Whether code in the checkpoint may run.
            lora: Directory of a LoRA that is merged into the weights.

        Raises:
            ModelError: Device or dtype cannot be had, or the LoRA is not there.
        """
        return make(Checkpoint(model, device, dtype, revision, trust_remote_code, lora))

    return opened


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' own bar and report off the terminal, where the run's bar is."""
    from transformers.utils import logging

    shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()
