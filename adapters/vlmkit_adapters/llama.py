"""Llama models with vision: two architectures under one name."""

from __future__ import annotations

from vlmkit.tokentree import open_families
from vlmkit_adapters.llama4 import Llama4Family
from vlmkit_adapters.mllama import MllamaFamily

llama = open_families({"mllama": MllamaFamily, "llama4": Llama4Family})
"""Opens a checkpoint of Llama 3.2 Vision or Llama 4."""
