"""Gemma 3 and Gemma 4, small and random.

Gemma 3: 4 tokens an image, and a window of 16 tokens in every layer but the last. Gemma 4: up to 70 tokens an image,
such windows in every other layer, and the last two layers use the keys and values of the two before.
"""

from __future__ import annotations

from typing import Any

import torch

from vlmkit.testing.models.parts import END_OF_TEXT, chat_template, text_config, tokenizer


def gemma3() -> tuple[Any, Any]:
    """Return a model and its processor."""
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3ImageProcessor,
        Gemma3Processor,
    )

    tokens = tokenizer(boi_token="<start_of_image>", eoi_token="<end_of_image>", image_token="<image_soft_token>")
    # As in the published checkpoints, what ends a text is not what ends a turn.
    tokens.eos_token = END_OF_TEXT
    text = text_config(
        tokens,
        head_dim=16,
        sliding_window=16,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"],
        query_pre_attn_scalar=16,
        tie_word_embeddings=False,
    )
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 56,
        "patch_size": 14,
        "vision_use_head": False,
    }
    config = Gemma3Config(
        text_config=text,
        vision_config=vision,
        mm_tokens_per_image=4,
        boi_token_index=tokens.boi_token_id,
        eoi_token_index=tokens.eoi_token_id,
        image_token_index=tokens.image_token_id,
        tie_word_embeddings=False,
    )
    model = Gemma3ForConditionalGeneration(config)
    # Left at zero by transformers, it would hide every image.
    torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight, std=0.02)
    images = Gemma3ImageProcessor(size={"height": 56, "width": 56}, do_pan_and_scan=False)
    processor = Gemma3Processor(images, tokens, chat_template("<start_of_image>"), image_seq_length=4)
    return model, processor


def gemma4() -> tuple[Any, Any]:
    """Return a model and its processor."""
    from transformers import (
        Gemma4AudioFeatureExtractor,
        Gemma4Config,
        Gemma4ForConditionalGeneration,
        Gemma4ImageProcessor,
        Gemma4Processor,
        Gemma4VideoProcessor,
    )

    tokens = tokenizer(
        "<|video|>",
        image_token="<|image|>",
        boi_token="<|image>",
        eoi_token="<image|>",
        audio_token="<|audio|>",
        boa_token="<|audio>",
        eoa_token="<audio|>",
    )
    tokens.eos_token = END_OF_TEXT
    text = text_config(
        tokens,
        num_hidden_layers=5,
        layer_types=["full_attention", "sliding_attention", "full_attention", "sliding_attention", "full_attention"],
        num_kv_shared_layers=2,
        sliding_window=16,
        head_dim=16,
        global_head_dim=32,
        num_global_key_value_heads=1,
        attention_k_eq_v=True,
        use_bidirectional_attention="vision",
        vocab_size_per_layer_input=len(tokens),
        hidden_size_per_layer_input=8,
        final_logit_softcapping=30.0,
        tie_word_embeddings=False,
    )
    pooled = {"patch_size": 4, "pooling_kernel_size": 2}
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "position_embedding_size": 512,
        **pooled,
    }
    named = {
        f"{name}_token_id": getattr(tokens, f"{name}_token_id") for name in ("boi", "eoi", "image", "boa", "audio")
    }
    config = Gemma4Config(
        text_config=text,
        vision_config=vision,
        eoa_token_index=tokens.eoa_token_id,
        video_token_id=tokens.convert_tokens_to_ids("<|video|>"),
        tie_word_embeddings=False,
        **named,
    )
    processor = Gemma4Processor(
        Gemma4AudioFeatureExtractor(),
        Gemma4ImageProcessor(max_soft_tokens=70, **pooled),
        tokens,
        Gemma4VideoProcessor(),
        chat_template("<|image|>"),
        image_seq_length=70,
    )
    return Gemma4ForConditionalGeneration(config), processor
