"""Idefics3, small and random: tiles of 56 x 56 pixels, 4 tokens each."""

from __future__ import annotations

from typing import Any

from vlmkit.testing.models.parts import chat_template, text_config, tokenizer


def idefics3() -> tuple[Any, Any]:
    """Return a model and its processor."""
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
    )

    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    tokens = tokenizer("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *tiles)
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 56,
        "patch_size": 14,
    }
    config = Idefics3Config(
        text_config=text_config(tokens, model_type="llama", tie_word_embeddings=False),
        vision_config=vision,
        scale_factor=2,
        image_token_id=tokens.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=False,
    )
    images = Idefics3ImageProcessor(size={"longest_edge": 112}, max_image_size={"longest_edge": 56})
    processor = Idefics3Processor(images, tokens, image_seq_len=4, chat_template=chat_template("<image>"))
    return Idefics3ForConditionalGeneration(config), processor
