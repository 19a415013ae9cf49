"""LLaVA-OneVision, small and random: tiles of 42 x 42 pixels, 9 tokens each."""

from __future__ import annotations

from typing import Any

from vlmkit.testing.models.parts import chat_template, text_config, tokenizer


def llava_onevision() -> tuple[Any, Any]:
    """Return a model and its processor."""
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
    )

    tokens = tokenizer(image_token="<image>", video_token="<video>")
    resolutions = [[42 * rows, 42 * columns] for rows in (1, 2, 3) for columns in (1, 2, 3)]
    # More than two tiles are scaled down, as more than nine are in the published checkpoints.
    aspect = "anyres_max_2"
    vision = {
        "model_type": "siglip_vision_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 42,
        "patch_size": 14,
        "vision_use_head": False,
    }
    config = LlavaOnevisionConfig(
        text_config=text_config(tokens, model_type="qwen2"),
        vision_config=vision,
        image_token_index=tokens.image_token_id,
        video_token_index=tokens.video_token_id,
        image_grid_pinpoints=resolutions,
        vision_aspect_ratio=aspect,
    )
    images = LlavaOnevisionImageProcessor(size={"height": 42, "width": 42}, image_grid_pinpoints=resolutions)
    processor = LlavaOnevisionProcessor(
        images,
        tokens,
        LlavaOnevisionVideoProcessor(),
        num_image_tokens=9,
        vision_feature_select_strategy="full",
        vision_aspect_ratio=aspect,
        chat_template=chat_template("<image>\n"),
    )
    return LlavaOnevisionForConditionalGeneration(config), processor
