"""Small random checkpoints of true architectures, with tokenizer, processor and chat template."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch

from vlmkit.testing.models.gemma import gemma3, gemma4
from vlmkit.testing.models.idefics import idefics3
from vlmkit.testing.models.intern import internvl
from vlmkit.testing.models.llava import llava_onevision
from vlmkit.testing.models.parts import END_OF_TURN, Recipe
from vlmkit.testing.models.qwen import QWEN

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        **QWEN,
        "gemma3": gemma3,
        "gemma4": gemma4,
        "idefics3": idefics3,
        "internvl": internvl,
        "llava_onevision": llava_onevision,
    }
)
"""How to make each checkpoint type."""


def small_checkpoint(model_type: str, directory: Path, *, seed: int = 0) -> Path:
    """Write a random checkpoint of that type and return its directory, ready for ``AutoModelForImageTextToText``.

    Raises:
        KeyError: No recipe for that type; see ``RECIPES``.
    """
    torch.manual_seed(seed)
    model, processor = RECIPES[model_type]()
    # Fresh models are so nearly uniform that a wrong score would pass for a right one.
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.mul_(4.0)
    tokenizer = processor.tokenizer
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(END_OF_TURN)]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(directory)
    processor.save_pretrained(directory)
    return directory
