"""The embedded model before training: Qwen3-VL's architecture at about 1.4 million parameters."""

from __future__ import annotations

from transformers import (
    GenerationConfig,
    PreTrainedTokenizerBase,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from vlmkit_glyphs.drawing import SIZE
from vlmkit_glyphs.training.processor import MAX_LENGTH, MERGE, PATCH

LONGEST_REPLY = 16
"""Tokens that ``generate`` makes by default."""


def build_model(tokenizer: PreTrainedTokenizerBase) -> Qwen3VLForConditionalGeneration:
    """Build the model with random weights, float32, for the vocabulary of ``tokenizer``; greedy by default."""
    model = Qwen3VLForConditionalGeneration(_config(tokenizer))
    model.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=LONGEST_REPLY,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return model


def _config(tokenizer: PreTrainedTokenizerBase) -> Qwen3VLConfig:
    hidden_size = 128
    return Qwen3VLConfig(
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
        tie_word_embeddings=True,
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": hidden_size,
            "intermediate_size": 3 * hidden_size,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "max_position_embeddings": MAX_LENGTH,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": [8, 4, 4],
                "mrope_interleaved": True,
            },
            "tie_word_embeddings": True,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 96,
            "intermediate_size": 256,
            "num_heads": 3,
            "patch_size": PATCH,
            "temporal_patch_size": 1,
            "spatial_merge_size": MERGE,
            "out_hidden_size": hidden_size,
            "deepstack_visual_indexes": [0],
            "num_position_embeddings": (SIZE // PATCH) ** 2,
        },
    )
