"""Small random checkpoints of true architectures, with tokenizer, processor and chat template."""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from types import MappingProxyType

import torch

from vlmkit.local.checkpoint import quiet
from vlmkit.testing.models.gemma import gemma3, gemma4
from vlmkit.testing.models.idefics import idefics3
from vlmkit.testing.models.intern import internvl
from vlmkit.testing.models.llama import llama4, mllama
from vlmkit.testing.models.llava import llava_onevision
from vlmkit.testing.models.parts import END_OF_TURN, Recipe, chat_template, text_config, tokenizer
from vlmkit.testing.models.qwen import QWEN
from vlmkit.testing.models.sized import SIZES, sized_checkpoint

__all__ = [
    "RECIPES",
    "Recipe",
    "SIZES",
    "chat_template",
    "shared_checkpoint",
    "sized_checkpoint",
    "small_checkpoint",
    "text_config",
    "tokenizer",
]

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        **QWEN,
        "gemma3": gemma3,
        "gemma4": gemma4,
        "idefics3": idefics3,
        "internvl": internvl,
        "llama4": llama4,
        "llava_onevision": llava_onevision,
        "mllama": mllama,
    }
)
"""How to make each checkpoint type."""


def small_checkpoint(recipe: str | Recipe, directory: Path, *, seed: int = 0) -> Path:
    """Write a random checkpoint and return its directory, ready for ``AutoModelForImageTextToText``.

    Args:
        recipe: One of ``RECIPES`` by its name, or a function that makes a model and its processor.
        directory: Where to write it.
        seed: Seed of the weights.

    Raises:
        KeyError: No recipe of that name.
    """
    torch.manual_seed(seed)
    model, processor = (RECIPES[recipe] if isinstance(recipe, str) else recipe)()
    # Fresh models are so nearly uniform that a wrong score would pass for a right one.
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.mul_(4.0)
    tokens = processor.tokenizer
    model.generation_config.eos_token_id = [tokens.eos_token_id, tokens.convert_tokens_to_ids(END_OF_TURN)]
    model.generation_config.pad_token_id = tokens.pad_token_id
    with quiet():
        model.save_pretrained(directory)
    processor.save_pretrained(directory)
    return directory


@cache
def shared_checkpoint(name: str) -> Path:
    """Return the directory of a small random checkpoint, made at the first call and gone with the process; read-only.

    Args:
        name: One of ``RECIPES``.

    Raises:
        KeyError: No recipe of that name.
    """
    directory = Path(mkdtemp(prefix=f"vlmkit-{name}-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return small_checkpoint(name, directory)
