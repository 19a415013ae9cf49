"""Any other vision-language checkpoint that transformers loads, on forks of its own cache.

What is particular: nothing is known of the family. Its own processor, forward and cache do everything.
"""

from __future__ import annotations

from vlmkit.forking import ForkingBackend
from vlmkit.local.checkpoint import opener

generic = opener(ForkingBackend.of)
"""Opens a checkpoint of any family."""
