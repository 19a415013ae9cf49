"""Runs held against each other: on the same examples, pair by pair."""

from vlmkit.comparison.comparison import Comparison, Pair
from vlmkit.comparison.figures import RunFigures
from vlmkit.comparison.judged import JudgedRun

__all__ = ["Comparison", "JudgedRun", "Pair", "RunFigures"]
