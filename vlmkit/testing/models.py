"""Small random checkpoints of true architectures, with tokenizer, processor and chat template."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

_CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_CORPUS = (
    "Which category does the image show? Answer with its name only, exactly as listed. Categories: assistant user " * 4,
)


def small_checkpoint(model_type: str, directory: Path, *, seed: int = 0) -> Path:
    """Write a random checkpoint of that type and return its directory, ready for ``AutoModelForImageTextToText``.

    Raises:
        KeyError: No recipe for that type; see ``RECIPES``.
    """
    torch.manual_seed(seed)
    tokenizer = _tokenizer()
    model = RECIPES[model_type](tokenizer)
    # Fresh models are so nearly uniform that a wrong score would pass for a right one.
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.mul_(4.0)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(directory)
    _processor(model_type, tokenizer).save_pretrained(directory)
    return directory


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL_TOKENS),
    )


def _processor(model_type: str, tokenizer: Any) -> Any:
    import transformers

    patch = 16 if model_type.startswith("qwen3") else 14
    images = transformers.Qwen2VLImageProcessor(
        patch_size=patch, merge_size=2, size={"shortest_edge": patch * patch * 16, "longest_edge": patch * patch * 64}
    )
    if model_type == "qwen2_vl":
        videos = transformers.Qwen2VLVideoProcessor(patch_size=patch, merge_size=2)
        return transformers.Qwen2VLProcessor(images, tokenizer, videos, chat_template=_CHAT_TEMPLATE)
    if model_type == "qwen2_5_vl":
        videos = transformers.Qwen2VLVideoProcessor(patch_size=patch, merge_size=2)
        return transformers.Qwen2_5_VLProcessor(images, tokenizer, videos, chat_template=_CHAT_TEMPLATE)
    videos = transformers.Qwen3VLVideoProcessor(patch_size=patch, merge_size=2)
    return transformers.Qwen3VLProcessor(images, tokenizer, videos, chat_template=_CHAT_TEMPLATE)


def _tokens(tokenizer: Any) -> dict[str, int]:
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("image_pad", "video_pad")}
    return {
        "image_token_id": ids["image_pad"],
        "video_token_id": ids["video_pad"],
        "vision_start_token_id": tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    }


def _text(tokenizer: Any, *, interleaved: bool, **more: Any) -> dict[str, Any]:
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3]}
    if interleaved:
        rope["mrope_interleaved"] = True
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rope_parameters": rope,
        "max_position_embeddings": 32_768,
        **more,
    }


def _qwen2_vl(tokenizer: Any) -> Any:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2, "patch_size": 14}
    return Qwen2VLForConditionalGeneration(
        Qwen2VLConfig(text_config=_text(tokenizer, interleaved=False), vision_config=vision, **_tokens(tokenizer))
    )


def _qwen2_5_vl(tokenizer: Any) -> Any:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

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
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(text_config=_text(tokenizer, interleaved=False), vision_config=vision, **_tokens(tokenizer))
    )


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


def _qwen3_vl(tokenizer: Any) -> Any:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    text = _text(tokenizer, interleaved=True, head_dim=16)
    return Qwen3VLForConditionalGeneration(
        Qwen3VLConfig(text_config=text, vision_config=_QWEN3_VISION, **_tokens(tokenizer))
    )


def _qwen3_vl_moe(tokenizer: Any) -> Any:
    from transformers import Qwen3VLMoeConfig, Qwen3VLMoeForConditionalGeneration

    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
    text = _text(tokenizer, interleaved=True, head_dim=16, **experts)
    return Qwen3VLMoeForConditionalGeneration(
        Qwen3VLMoeConfig(text_config=text, vision_config=_QWEN3_VISION, **_tokens(tokenizer))
    )


RECIPES: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "qwen2_vl": _qwen2_vl,
        "qwen2_5_vl": _qwen2_5_vl,
        "qwen3_vl": _qwen3_vl,
        "qwen3_vl_moe": _qwen3_vl_moe,
    }
)
"""How to make each checkpoint type."""
