"""Backends, one model family or server protocol per module."""

from vlmkit import Registry, hookimpl


@hookimpl
def vlmkit_register(registry: Registry) -> None:
    """Register the built-in adapters."""
    registry.adapter(
        "qwen",
        "vlmkit_adapters.qwen:qwen",
        summary="Qwen2-VL, Qwen2.5-VL, Qwen3-VL and their MoE variants, on token trees",
        model_types=("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe"),
    )
    registry.adapter(
        "gemma",
        "vlmkit_adapters.gemma:gemma",
        summary="Gemma 3, on token trees",
        model_types=("gemma3",),
    )
    registry.adapter(
        "gemma4",
        "vlmkit_adapters.gemma:gemma4",
        summary="Gemma 4, on token trees",
        model_types=("gemma4",),
    )
    registry.adapter(
        "intern",
        "vlmkit_adapters.intern:intern",
        summary="InternVL3 and later in their -hf form, on token trees",
        model_types=("internvl",),
    )
    registry.adapter(
        "llava",
        "vlmkit_adapters.llava:llava",
        summary="LLaVA-OneVision, on token trees",
        model_types=("llava_onevision",),
    )
    registry.adapter(
        "generic",
        "vlmkit_adapters.generic:generic",
        summary="Any other vision-language checkpoint of transformers, on forked caches",
        model_types=("*",),
    )
    registry.adapter("tiny", "vlmkit_adapters.tiny:tiny", summary="The embedded model, trained on glyphs")
    registry.adapter(
        "openai",
        "vlmkit_adapters.openai:ServerBackend",
        summary="Any OpenAI-compatible server: vLLM, SGLang, transformers serve, hosted APIs",
    )
    registry.adapter(
        "scripted",
        "vlmkit_adapters.scripted:ScriptedBackend",
        summary="Deterministic fake with settable accuracy, order bias, None and invalid rates",
    )
