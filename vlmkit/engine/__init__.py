"""Drives strategies over examples: many at once, their queries batched, results in order."""

from vlmkit.engine.engine import Engine, check_capabilities
from vlmkit.engine.job import Exchange, Solved

__all__ = ["Engine", "Exchange", "Solved", "check_capabilities"]
