"""Small random models of two towers, one for images and one for texts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from vlmkit.testing.models.parts import tokenizer

SIDE = 32
"""Pixels a side of the image tower's input."""


def two_towers(kind: Literal["clip", "siglip"], directory: Path) -> Path:
    """Write a random checkpoint of the true architecture and return its directory, ready for ``AutoModel``."""
    from tokenizers.processors import TemplateProcessing
    from transformers import (
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        CLIPProcessor,
        SiglipConfig,
        SiglipImageProcessor,
        SiglipModel,
        SiglipProcessor,
    )

    torch.manual_seed(0)
    words = tokenizer()
    # CLIP reads a text off its end token.
    end = (words.eos_token, words.eos_token_id)
    words.backend_tokenizer.post_processor = TemplateProcessing(single=f"$A {end[0]}", special_tokens=[end])
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {name: getattr(words, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    text = {**tower, **ids, "vocab_size": len(words), "max_position_embeddings": 24, "projection_size": 32}
    vision = {**tower, "image_size": SIDE, "patch_size": 8}
    size = {"height": SIDE, "width": SIDE}
    if kind == "clip":
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
        processor = CLIPProcessor(CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=size), words)
    else:
        model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
        processor = SiglipProcessor(SiglipImageProcessor(size=size), words)
    model.save_pretrained(directory)
    processor.save_pretrained(directory)
    return directory
