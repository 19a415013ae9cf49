"""Token trees: exact scores of many options in few forwards of a local model.

Every question about the same images shares a *trunk* (chat template, image tokens, fixed words), computed once. What
follows it is a *stem* (the rest of one question) that carries a trie of candidate answers. Stems and tries of many
questions and many images are packed into one forward, in which each token attends to its ancestors only.

    query -> question (tokens) -> trunk + branches -> rows -> packed forward -> log-probabilities -> ballot

``family`` is what a model family must provide; ``backend`` is the door for queries.

Shapes: B buckets rows, T packed tokens, P tokens of a past, H heads, D head size, V vocabulary, A position axes.
"""

from vlmkit.local.budget import Limits
from vlmkit.local.checkpoint import Checkpoint
from vlmkit.tokentree.attention import ATTENTION, register_attention, tree_attention
from vlmkit.tokentree.backend import TokenTreeBackend
from vlmkit.tokentree.family import Family, Features, Picture
from vlmkit.tokentree.huggingface import HuggingFaceFamily, open_families, open_family
from vlmkit.tokentree.layout import KV, Layout, Sight
from vlmkit.tokentree.reduction import Visual
from vlmkit.tokentree.weights import Observer, Weights

__all__ = [
    "ATTENTION",
    "KV",
    "Checkpoint",
    "Family",
    "Features",
    "HuggingFaceFamily",
    "Layout",
    "Limits",
    "Observer",
    "Picture",
    "Sight",
    "TokenTreeBackend",
    "Visual",
    "Weights",
    "open_families",
    "open_family",
    "register_attention",
    "tree_attention",
]
