"""Llama 3.2 Vision and Llama 4, small and random."""

from __future__ import annotations

from typing import Any

import torch

from vlmkit.testing.models.parts import chat_template, text_config, tokenizer

_IMAGE = "<|image|>"
_TEMPLATE = "{{ bos_token }}" + chat_template(_IMAGE)
_BEGIN = "<|begin_of_text|>"


def mllama() -> tuple[Any, Any]:
    """Return a model and its processor: up to 4 tiles of 84 x 84 pixels, 37 states each, seen by the second layer."""
    from transformers import (
        MllamaConfig,
        MllamaForConditionalGeneration,
        MllamaImageProcessor,
        MllamaProcessor,
    )

    tokens = tokenizer(_BEGIN)
    tokens.bos_token = _BEGIN
    # As in the published checkpoints, the model reads this token but has no logit for it.
    tokens.add_tokens([_IMAGE], special_tokens=True)
    text = text_config(tokens, vocab_size=len(tokens) - 1, cross_attention_layers=[1])
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_global_layers": 1,
        "attention_heads": 2,
        "vision_output_dim": 64,
        "image_size": 84,
        "patch_size": 14,
        "intermediate_layers_indices": [0],
    }
    config = MllamaConfig(
        text_config=text, vision_config=vision, image_token_index=tokens.convert_tokens_to_ids(_IMAGE)
    )
    model = MllamaForConditionalGeneration(config)
    for name, parameter in model.named_parameters():
        if "gate" in name and parameter.numel() == 1:
            # Left at zero by transformers, they would hide every image.
            torch.nn.init.constant_(parameter, 0.2)
    images = MllamaImageProcessor(size={"height": 84, "width": 84}, max_image_tiles=4)
    return model, MllamaProcessor(images, tokens, chat_template=_TEMPLATE)


def llama4() -> tuple[Any, Any]:
    """Return a model and its processor: tiles of 56 x 56 pixels, 4 tokens each; chunks of 32 tokens."""
    from transformers import (
        Llama4Config,
        Llama4ForConditionalGeneration,
        Llama4ImageProcessor,
        Llama4Processor,
    )

    frame = ("image_start", "image_end", "patch", "tile_x_separator", "tile_y_separator")
    tokens = tokenizer(_BEGIN, _IMAGE, *(f"<|{name}|>" for name in frame))
    tokens.bos_token = _BEGIN
    text = text_config(
        tokens,
        head_dim=16,
        intermediate_size_mlp=128,
        num_local_experts=4,
        interleave_moe_layer_step=2,
        no_rope_layers=[1, 0, 1],
        attention_chunk_size=32,
        floor_scale=16,
    )
    vision = {
        "hidden_size": 32,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "vision_output_dim": 64,
        "projector_input_dim": 64,
        "projector_output_dim": 64,
        "image_size": 56,
        "patch_size": 14,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
    }
    ids = {name: tokens.convert_tokens_to_ids(f"<|{name}|>") for name in frame}
    config = Llama4Config(
        text_config=text,
        vision_config=vision,
        boi_token_index=ids["image_start"],
        eoi_token_index=ids["image_end"],
        image_token_index=ids["patch"],
    )
    images = Llama4ImageProcessor(size={"height": 56, "width": 56}, max_patches=4)
    processor = Llama4Processor(images, tokens, patch_size=14, pixel_shuffle_ratio=0.5, chat_template=_TEMPLATE)
    return Llama4ForConditionalGeneration(config), processor
