"""Answers that are kept: a question that was answered once is not asked again."""

from vlmkit.cache.backend import CachedBackend, cached
from vlmkit.cache.store import AnswerStore, Holding

__all__ = ["AnswerStore", "CachedBackend", "Holding", "cached"]
