"""Strategies, one per module, and the aggregators beside them."""

from vlmkit import Registry, hookimpl


@hookimpl
def vlmkit_register(registry: Registry) -> None:
    """Register the built-in strategies and aggregators."""
    registry.strategy("flat", "vlmkit_strategies.flat:Flat", summary="One question with every label in it")
