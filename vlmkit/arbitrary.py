"""Answers that no model gave: arbitrary, but the same for the same query."""

from __future__ import annotations

import random
from math import log

import numpy as np
from numpy.typing import NDArray

from vlmkit.parsers import ballot_from_reply
from vlmkit.types import Answer, Ballot, Choose, Encode, Encoding, Query, Reply, Text, Usage
from vlmkit.types.labels import NONE_NAME

_NO_OPTION = "I cannot tell."


def answer(query: Query, refusals: float = 0.0) -> Answer:
    """Return an answer that depends on the query's images and options alone.

    Args:
        query: What is asked.
        refusals: Share of the choices that are ``None`` or an invalid reply, where the query can be answered so.
    """
    if isinstance(query, Encode):
        return Encoding({site: _vector(site, query) for site in query.at}, usage=Usage(queries=1))
    if not isinstance(query, Choose):
        return Text(f"Reply to: {query.text}", usage=Usage(queries=1))
    names = [option.name for option in query.options]
    rng = random.Random("\0".join([*(image.digest for image in query.images), *names]))
    refused = rng.random() < refusals
    if isinstance(query.readout, Reply):
        replies = [_NO_OPTION, *([NONE_NAME] if query.allow_none else [])] if refused else names
        return ballot_from_reply(query, rng.choice(replies), usage=Usage(queries=1))
    weights = [1.0 + rng.random() for _ in names]
    nothing = (2.0 * max(weights) if refused else 0.5) if query.allow_none else 0.0
    total = sum(weights) + nothing
    return Ballot.scored(
        names,
        [log(weight / total) for weight in weights],
        none_log_prob=log(nothing / total) if query.allow_none else None,
        usage=Usage(queries=1),
    )


def _vector(site: str, query: Encode) -> NDArray[np.float32]:
    rng = random.Random("\0".join([site, query.text, *(image.digest for image in query.images)]))
    return np.array([rng.gauss() for _ in range(8)], dtype=np.float32)
