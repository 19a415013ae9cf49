"""Answers to bytes and back: compressed JSON, in which every number is exactly the one that it was."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import numpy as np

from vlmkit.types import Ballot, Choose, Encode, Encoding, Outcome, Query, Text, Usage

Kept = Ballot | Text | Encoding
"""An answer that can be kept."""

_FLOATS = "<f4"
"""Little-endian float32, on any machine."""


def to_bytes(answer: Kept) -> bytes:
    """Return an answer without its usage, and without what its query says already."""
    return zlib.compress(json.dumps(_content(answer)).encode())


def from_bytes(content: bytes, query: Query, usage: Usage) -> Kept:
    """Return the answer to ``query`` that ``to_bytes`` made ``content`` from.

    Raises:
        ValueError: The content is damaged.
    """
    try:
        kept = json.loads(zlib.decompress(content))
        if isinstance(query, Encode):
            features = {site: _vector(kept["features"][site]) for site in query.at}
            return Encoding(features, prompt=kept["prompt"], usage=usage)
        if not isinstance(query, Choose):
            return Text(**kept, usage=usage)
        scores = kept.pop("log_probs")
        return Ballot(
            options=[option.name for option in query.options],
            outcome=Outcome(kept.pop("outcome")),
            log_probs=None if scores is None else tuple(scores),
            **kept,
            usage=usage,
        )
    except (zlib.error, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"no answer to such a question ({error})") from error


def _content(answer: Kept) -> dict[str, Any]:
    if isinstance(answer, Text):
        return {"text": answer.text, "prompt": answer.prompt}
    if isinstance(answer, Encoding):
        vectors = {site: np.asarray(vector, _FLOATS).tobytes() for site, vector in answer.features.items()}
        features = {site: base64.b64encode(vector).decode() for site, vector in vectors.items()}
        return {"features": features, "prompt": answer.prompt}
    return {
        "choice": answer.choice,
        "outcome": answer.outcome.value,
        "log_probs": None if answer.log_probs is None else [float(score) for score in answer.log_probs],
        "none_log_prob": None if answer.none_log_prob is None else float(answer.none_log_prob),
        "reply": answer.reply,
        "prompt": answer.prompt,
    }


def _vector(text: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.frombuffer(base64.b64decode(text), _FLOATS).astype(np.float32)
