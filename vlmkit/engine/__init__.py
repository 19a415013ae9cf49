"""Drives strategies over examples: many at once, their queries batched, results in order."""

from vlmkit.engine.engine import Engine, Exchange, Solved, check_capabilities

__all__ = ["Engine", "Exchange", "Solved", "check_capabilities"]
