"""SmolVLM and Idefics3 for vlmkit: a complete third-party adapter."""

from vlmkit import Capability, Registry, hookimpl


@hookimpl
def vlmkit_register(registry: Registry) -> None:
    """Tell vlmkit which checkpoints the adapter loads; the family itself is imported at first use."""
    registry.adapter(
        "smolvlm",
        "vlmkit_smolvlm.family:smolvlm",
        summary="SmolVLM, SmolVLM2 and Idefics3, on token trees",
        model_types=("idefics3", "smolvlm"),
        capabilities=Capability,
        branching="token-tree",
    )
