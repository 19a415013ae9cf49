"""Small random models of two towers, one for images and one for texts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from vlmkit.testing.models.parts import tokenizer

END_OF_TEXTS = "<|end|>"
"""Not the id 2, which transformers takes for that of CLIP checkpoints of old, whose texts it reads off elsewhere."""

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
    words = tokenizer(END_OF_TEXTS)
    words.eos_token = END_OF_TEXTS
    # CLIP reads a text off its end token.
    ending = (END_OF_TEXTS, words.eos_token_id)
    words.backend_tokenizer.post_processor = TemplateProcessing(f"$A {END_OF_TEXTS}", special_tokens=[ending])
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {name: getattr(words, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    text = {**tower, **ids, "vocab_size": len(words), "max_position_embeddings": 40, "projection_size": 32}
    vision = {**tower, "image_size": SIDE, "patch_size": 8}
    size = {"height": SIDE, "width": SIDE}
    if kind == "clip":
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
        processor = CLIPProcessor(CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=size), words)
    else:
        model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
        processor = SiglipProcessor(SiglipImageProcessor(size=size), words)
    # Fresh models embed all images nearly alike.
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.mul_(4.0)
    model.save_pretrained(directory)
    processor.save_pretrained(directory)
    return directory
