"""Every query of an example with its answer, as lines of ``samples.jsonl``."""

from __future__ import annotations

from typing import Any

from vlmkit.engine import Exchange, Solved
from vlmkit.redaction import redacted
from vlmkit.runs.convert import to_json
from vlmkit.types import Encoding, Failed, Text


def sample_lines(solved: Solved) -> list[dict[str, Any]]:
    """Return one line for each query of an example, in the order in which they were asked."""
    return [{"id": solved.example.id, **_line(exchange)} for exchange in solved.exchanges]


def _line(exchange: Exchange) -> dict[str, Any]:
    answer = exchange.answer
    common = {"round": exchange.round, "prompt": answer.prompt}
    if isinstance(answer, Failed):
        return {**common, "error": redacted(str(answer.error))}
    if isinstance(answer, Encoding):
        return {**common, "features": {site: to_json(vector.tolist()) for site, vector in answer.features.items()}}
    if isinstance(answer, Text):
        return {**common, "reply": answer.text}
    return {
        **common,
        "options": list(answer.options),
        "log_probs": to_json(answer.log_probs),
        "none_log_prob": to_json(answer.none_log_prob),
        "choice": answer.choice,
        "outcome": answer.outcome.value,
        "reply": answer.reply,
    }
