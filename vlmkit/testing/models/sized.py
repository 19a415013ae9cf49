"""Random Qwen3-VL checkpoints of true sizes: true costs, no download, no meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from attrs import field, frozen

from vlmkit.local.checkpoint import quiet
from vlmkit.testing.models.parts import END_OF_TURN, chat_template, trained_tokenizer

IMAGE_SIDE = 512
"""Side of the square that every picture is scaled to, in pixels: 1,024 patches, 256 visual tokens."""

_PATCH = 16


@frozen
class Size:
    """How large a random Qwen3-VL is; the rest is as published.

    Args:
        text: Settings of the language model.
        vision: Settings of the vision tower.
        vocabulary: Rows of the embedding, whatever the tokenizer makes use of.
        side: Side of the square that pictures are scaled to, in pixels.
    """

    text: Mapping[str, Any]
    vision: Mapping[str, Any]
    vocabulary: int = 151_936
    side: int = field(default=IMAGE_SIDE)


def _text(hidden: int, inner: int, layers: int, heads: int, kv_heads: int = 8, head: int = 128) -> Mapping[str, Any]:
    half = head // 2
    mrope = [half - 2 * (half * 5 // 16), half * 5 // 16, half * 5 // 16]
    return {
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head,
        "max_position_embeddings": 262_144,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 5e6,
            "mrope_section": mrope,
            "mrope_interleaved": True,
        },
    }


def _vision(hidden: int, inner: int, depth: int, heads: int, deep: Sequence[int]) -> Mapping[str, Any]:
    return {
        "hidden_size": hidden,
        "intermediate_size": inner,
        "depth": depth,
        "num_heads": heads,
        "deepstack_visual_indexes": list(deep),
        "patch_size": _PATCH,
        "temporal_patch_size": 2,
        "num_position_embeddings": 2304,
    }


_LARGE = _vision(1024, 4096, 24, 16, (5, 11, 17))

SIZES: Mapping[str, Size] = MappingProxyType(
    {
        "qwen3-vl-1m": Size(_text(64, 128, 2, 2, 1, 32), _vision(64, 128, 2, 2, (0,)), 2_000, 128),
        "qwen3-vl-100m": Size(_text(640, 2048, 10, 10, 5, 64), _vision(512, 2048, 8, 8, (3,)), 32_000),
        "qwen3-vl-2b": Size(_text(2048, 6144, 28, 16), _LARGE),
        "qwen3-vl-4b": Size(_text(2560, 9728, 36, 32), _LARGE),
        "qwen3-vl-8b": Size(_text(4096, 12288, 36, 32), _vision(1152, 4304, 27, 16, (8, 16, 24))),
    }
)
"""Sizes by name: three published ones, one that two CPU cores run in a second, and one for trying out."""


def sized_checkpoint(
    name: str,
    directory: Path,
    *,
    words: Sequence[str] = (),
    device: str = "cpu",
    seed: int = 0,
    weights: bool = True,
) -> Path:
    """Write a random checkpoint in bfloat16 and return its directory.

    Args:
        name: One of ``SIZES``.
        directory: Where to write it.
        words: Texts of which every word shall be one token, as common words are in a large vocabulary.
        device: Where the weights are drawn.
        seed: Seed of the weights.
        weights: Whether there shall be any; plans need none.

    Raises:
        KeyError: No size of that name.
    """
    from transformers import Qwen2VLImageProcessor, Qwen3VLForConditionalGeneration, Qwen3VLProcessor
    from transformers import Qwen3VLVideoProcessor as VideoProcessor

    size = SIZES[name]
    tokens = trained_tokenizer(
        words, size.vocabulary, ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    )
    grid = {"patch_size": _PATCH, "temporal_patch_size": 2, "merge_size": 2}
    area = {"shortest_edge": size.side**2, "longest_edge": size.side**2}
    processor = Qwen3VLProcessor(
        Qwen2VLImageProcessor(size=area, **grid),
        tokens,
        VideoProcessor(size=area, **grid),
        chat_template=chat_template("<|vision_start|><|image_pad|><|vision_end|>"),
    )
    processor.save_pretrained(directory)
    if not weights:
        config = _config(size, tokens)
        config.dtype = torch.bfloat16
        config.save_pretrained(directory)
        return directory
    torch.manual_seed(seed)
    standard = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.bfloat16)
        with torch.device(device):
            model = Qwen3VLForConditionalGeneration(_config(size, tokens))
    finally:
        torch.set_default_dtype(standard)
    model.generation_config.eos_token_id = [tokens.convert_tokens_to_ids(END_OF_TURN)]
    model.generation_config.pad_token_id = tokens.pad_token_id
    with quiet():
        model.save_pretrained(directory)
    return directory


def _config(size: Size, tokens: Any) -> Any:
    from transformers import Qwen3VLConfig

    special = {"image": "image_pad", "video": "video_pad", "vision_start": "vision_start", "vision_end": "vision_end"}
    ends = {"eos_token_id": tokens.eos_token_id, "pad_token_id": tokens.pad_token_id}
    return Qwen3VLConfig(
        text_config={**size.text, "vocab_size": size.vocabulary, "tie_word_embeddings": True, **ends},
        vision_config={**size.vision, "out_hidden_size": size.text["hidden_size"]},
        tie_word_embeddings=True,
        **{f"{key}_token_id": tokens.convert_tokens_to_ids(f"<|{token}|>") for key, token in special.items()},
    )
