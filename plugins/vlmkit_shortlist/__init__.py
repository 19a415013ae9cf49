"""Labels retrieved by a two-tower model before a vision-language model chooses among them."""

from vlmkit import Registry, hookimpl


@hookimpl
def vlmkit_register(registry: Registry) -> None:
    """Register the strategy."""
    registry.strategy(
        "shortlist",
        "vlmkit_shortlist.shortlist:Shortlist",
        summary="Retrieves k labels with a CLIP or SigLIP model and asks about those",
        source="arXiv 2403.13805",
        wraps=True,
    )
