"""Qwen2-VL, Qwen2.5-VL, Qwen3-VL, their mixture-of-experts variants and Qwen3.5, small and random."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from vlmkit.testing.models.parts import Recipe, chat_template, text_config, tokenizer

_TEMPLATE = chat_template("<|vision_start|><|image_pad|><|vision_end|>")


def _tokenizer() -> Any:
    return tokenizer("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")


def _tokens(tokenizer: Any) -> dict[str, int]:
    names = {"image": "image_pad", "video": "video_pad", "vision_start": "vision_start", "vision_end": "vision_end"}
    return {f"{key}_token_id": tokenizer.convert_tokens_to_ids(f"<|{name}|>") for key, name in names.items()}


def _text(tokenizer: Any, *, interleaved: bool, **more: Any) -> dict[str, Any]:
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3]}
    if interleaved:
        rope["mrope_interleaved"] = True
    return text_config(tokenizer, rope_parameters=rope, **more)


def _images(patch: int) -> Any:
    from transformers import Qwen2VLImageProcessor

    size = {"shortest_edge": patch * patch * 16, "longest_edge": patch * patch * 64}
    return Qwen2VLImageProcessor(patch_size=patch, merge_size=2, size=size)


def _qwen2_vl() -> tuple[Any, Any]:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLProcessor, Qwen2VLVideoProcessor

    tokens = _tokenizer()
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2, "patch_size": 14}
    config = Qwen2VLConfig(text_config=_text(tokens, interleaved=False), vision_config=vision, **_tokens(tokens))
    videos = Qwen2VLVideoProcessor(patch_size=14, merge_size=2)
    processor = Qwen2VLProcessor(_images(14), tokens, videos, chat_template=_TEMPLATE)
    return Qwen2VLForConditionalGeneration(config), processor


def _qwen2_5_vl() -> tuple[Any, Any]:
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLVideoProcessor,
    )

    tokens = _tokenizer()
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 64,
        "patch_size": 14,
        "window_size": 56,
        "fullatt_block_indexes": [1],
    }
    config = Qwen2_5_VLConfig(text_config=_text(tokens, interleaved=False), vision_config=vision, **_tokens(tokens))
    videos = Qwen2VLVideoProcessor(patch_size=14, merge_size=2)
    processor = Qwen2_5_VLProcessor(_images(14), tokens, videos, chat_template=_TEMPLATE)
    return Qwen2_5_VLForConditionalGeneration(config), processor


_QWEN3_VISION = {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 2,
    "out_hidden_size": 64,
    "patch_size": 16,
    "deepstack_visual_indexes": [0],
    "num_position_embeddings": 64,
}


def _qwen3_processor(tokens: Any) -> Any:
    from transformers import Qwen3VLProcessor, Qwen3VLVideoProcessor

    videos = Qwen3VLVideoProcessor(patch_size=16, merge_size=2)
    return Qwen3VLProcessor(_images(16), tokens, videos, chat_template=_TEMPLATE)


def _qwen3_vl() -> tuple[Any, Any]:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    tokens = _tokenizer()
    text = _text(tokens, interleaved=True, head_dim=16)
    config = Qwen3VLConfig(text_config=text, vision_config=_QWEN3_VISION, **_tokens(tokens))
    return Qwen3VLForConditionalGeneration(config), _qwen3_processor(tokens)


def _qwen3_vl_moe() -> tuple[Any, Any]:
    from transformers import Qwen3VLMoeConfig, Qwen3VLMoeForConditionalGeneration

    tokens = _tokenizer()
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
    text = _text(tokens, interleaved=True, head_dim=16, **experts)
    config = Qwen3VLMoeConfig(text_config=text, vision_config=_QWEN3_VISION, **_tokens(tokens))
    return Qwen3VLMoeForConditionalGeneration(config), _qwen3_processor(tokens)


def _qwen3_5() -> tuple[Any, Any]:
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

    tokens = _tokenizer()
    text = _text(
        tokens,
        interleaved=True,
        head_dim=64,  # of which a quarter rotates
        linear_key_head_dim=16,
        linear_value_head_dim=16,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        layer_types=["linear_attention", "linear_attention", "full_attention"],
    )
    vision = {name: value for name, value in _QWEN3_VISION.items() if name != "deepstack_visual_indexes"}
    config = Qwen3_5Config(text_config=text, vision_config=vision, **_tokens(tokens))
    return Qwen3_5ForConditionalGeneration(config), _qwen3_processor(tokens)


QWEN: Mapping[str, Recipe] = MappingProxyType(
    {
        "qwen2_vl": _qwen2_vl,
        "qwen2_5_vl": _qwen2_5_vl,
        "qwen3_vl": _qwen3_vl,
        "qwen3_vl_moe": _qwen3_vl_moe,
        "qwen3_5": _qwen3_5,
    }
)
"""How to make each type."""
