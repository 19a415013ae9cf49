"""Drives strategies over examples: many at once, their queries batched, results in order."""

from vlmkit.engine.engine import Engine, check_capabilities
from vlmkit.engine.job import Exchange, Solved
from vlmkit.engine.local import LocalEngine, PlacesModels, RunEngine
from vlmkit.engine.portable import portable
from vlmkit.engine.reading import Reading

__all__ = [
    "Engine",
    "Exchange",
    "LocalEngine",
    "PlacesModels",
    "Reading",
    "RunEngine",
    "Solved",
    "check_capabilities",
    "portable",
]
