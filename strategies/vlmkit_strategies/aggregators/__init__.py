"""Aggregators, one per module: from ballots to a ranking.

A ballot without a choice counts for nothing in any of them.
"""

from vlmkit_strategies.aggregators.borda import Borda
from vlmkit_strategies.aggregators.product import Product
from vlmkit_strategies.aggregators.topk import TopK
from vlmkit_strategies.aggregators.vote import Vote
from vlmkit_strategies.aggregators.winners import Winners

__all__ = ["Borda", "Product", "TopK", "Vote", "Winners"]
