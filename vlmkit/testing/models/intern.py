"""InternVL, small and random: tiles of 56 x 56 pixels, 4 tokens each."""

from __future__ import annotations

from typing import Any

from vlmkit.testing.models.parts import chat_template, text_config, tokenizer


def internvl() -> tuple[Any, Any]:
    """Return a model and its processor."""
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        InternVLVideoProcessor,
    )

    tokens = tokenizer(
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": [56, 56],
        "patch_size": [14, 14],
    }
    config = InternVLConfig(
        text_config=text_config(tokens, model_type="qwen2"),
        vision_config=vision,
        image_token_id=tokens.context_image_token_id,
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    images = GotOcr2ImageProcessor(size={"height": 56, "width": 56}, crop_to_patches=True, max_patches=6)
    processor = InternVLProcessor(
        images, tokens, InternVLVideoProcessor(), image_seq_length=4, chat_template=chat_template("<IMG_CONTEXT>\n")
    )
    return InternVLForConditionalGeneration(config), processor
