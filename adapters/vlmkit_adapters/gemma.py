"""Gemma models with vision: two architectures under one name."""

from __future__ import annotations

from vlmkit.tokentree import open_families
from vlmkit_adapters.gemma3 import Gemma3Family
from vlmkit_adapters.gemma4 import Gemma4Family

gemma = open_families({"gemma3": Gemma3Family, "gemma4": Gemma4Family})
"""Opens a checkpoint of Gemma 3 or Gemma 4."""
