"""Backends, one model family or server protocol per module."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from vlmkit import Capability, Registry, hookimpl

_TOKEN_TREE: Mapping[str, Any] = MappingProxyType({"capabilities": Capability, "branching": "token-tree"})

_TEXT = frozenset({Capability.GENERATE, Capability.SAMPLE, Capability.MULTI_IMAGE})

_PLAIN = frozenset({Capability.LIKELIHOOD, Capability.LETTER, *_TEXT})
"""All that needs no change inside a model."""


@hookimpl
def vlmkit_register(registry: Registry) -> None:
    """Register the built-in adapters."""
    registry.adapter(
        "qwen",
        "vlmkit_adapters.qwen:qwen",
        summary="Qwen2-VL, Qwen2.5-VL, Qwen3-VL and their MoE variants",
        model_types=("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe"),
        **_TOKEN_TREE,
    )
    registry.adapter(
        "llama",
        "vlmkit_adapters.llama:llama",
        summary="Llama 3.2 Vision and Llama 4",
        model_types=("mllama", "llama4"),
        **_TOKEN_TREE,
    )
    registry.adapter(
        "gemma",
        "vlmkit_adapters.gemma:gemma",
        summary="Gemma 3 and Gemma 4",
        model_types=("gemma3", "gemma4"),
        **_TOKEN_TREE,
    )
    registry.adapter(
        "intern",
        "vlmkit_adapters.intern:intern",
        summary="InternVL3 and later in their -hf form",
        model_types=("internvl",),
        **_TOKEN_TREE,
    )
    registry.adapter(
        "llava",
        "vlmkit_adapters.llava:llava",
        summary="LLaVA-OneVision",
        model_types=("llava_onevision",),
        **_TOKEN_TREE,
    )
    registry.adapter(
        "tiny", "vlmkit_adapters.tiny:tiny", summary="The embedded model, trained on glyphs", **_TOKEN_TREE
    )
    registry.adapter(
        "generic",
        "vlmkit_adapters.generic:generic",
        summary="Any other vision-language checkpoint of transformers",
        model_types=("*",),
        capabilities=_PLAIN,
        branching="forked-cache",
    )
    registry.adapter(
        "openai",
        "vlmkit_adapters.openai:ServerBackend",
        summary="Any OpenAI-compatible server: vLLM, SGLang, transformers serve, hosted APIs",
        capabilities=frozenset({Capability.LETTER, *_TEXT}),
        branching="server",
        extra="openai",
    )
    registry.adapter(
        "scripted",
        "vlmkit_adapters.scripted:ScriptedBackend",
        summary="Deterministic fake with settable accuracy, order bias, None and invalid rates",
        capabilities=_PLAIN,
        branching="none",
    )
