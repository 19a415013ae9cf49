"""Forked caches: exact scores from any vision-language checkpoint, through its own forward and its own cache.

Token trees need an attention function of their own, so they need to know a family. Here nothing is known: the model
runs what questions share once, the cache that comes out is copied, and every copy goes on with what differs. Recurrent
layers, whose state no mask can branch, are copied like keys and values.

    query -> prompt (tokens) -> image -> fixed words -> stems of one length -> candidates -> log-probabilities -> ballot

``states`` is the copying, ``model`` the checkpoint, ``backend`` the door for queries.
"""

from vlmkit.forking.backend import ForkingBackend
from vlmkit.forking.model import ForkingModel

__all__ = ["ForkingBackend", "ForkingModel"]
