"""Random Qwen3-VL checkpoints of the published sizes: true costs, no download, no meaning."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from vlmkit.local.checkpoint import quiet
from vlmkit_adapters.tiny import CHECKPOINT

_VISION = {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "deepstack_visual_indexes": [5, 11, 17]}

SIZES: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = MappingProxyType(
    {
        "small": (
            {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2},
            {"depth": 2, "hidden_size": 64, "intermediate_size": 128, "deepstack_visual_indexes": [0]},
        ),
        "2b": (
            {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28, "num_attention_heads": 16},
            _VISION,
        ),
        "4b": (
            {"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32},
            _VISION,
        ),
        "8b": (
            {"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32},
            {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "deepstack_visual_indexes": [8, 16, 24]},
        ),
    }
)
"""Text and vision settings by name; ``small`` is for trying out."""


def random_qwen3_vl(size: str, directory: Path, device: torch.device) -> Path:
    """Write a checkpoint in bfloat16 with the tokenizer of ``tiny``; an image takes 256 tokens.

    Args:
        size: One of ``SIZES``.
        directory: Where to write it.
        device: Where the weights are drawn.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    text, vision = SIZES[size]
    config = AutoConfig.from_pretrained(CHECKPOINT)
    rope = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [24, 20, 20], "mrope_interleaved": True}
    shared = {"num_key_value_heads": min(8, text["num_attention_heads"]), "head_dim": 128, "vocab_size": 151_936}
    for key, value in {**shared, **text, "rope_parameters": rope}.items():
        setattr(config.text_config, key, value)
    grid = {"patch_size": 16, "temporal_patch_size": 2, "num_heads": 16, "num_position_embeddings": 2304}
    for key, value in {**grid, **vision, "out_hidden_size": text["hidden_size"]}.items():
        setattr(config.vision_config, key, value)
    with device:
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    with quiet():
        model.save_pretrained(directory)
    processor = AutoProcessor.from_pretrained(CHECKPOINT)
    images = processor.image_processor
    images.patch_size, images.temporal_patch_size = 16, 2
    images.size = {"shortest_edge": 512 * 512, "longest_edge": 512 * 512}
    processor.save_pretrained(directory)
    return directory
