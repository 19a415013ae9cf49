"""From the scores of a ranking to a confidence."""

from __future__ import annotations

import math
from collections.abc import Sequence

_ROUNDING = 1e-4
"""How far above 0 rounding may bring a log-probability, in nats."""


def confidence(ranking: Sequence[tuple[str, float]], label: str | None) -> float | None:
    """Return the probability of a label, given that one of the ranked names is right.

    That is the label's share of the softmax over the whole ranking. Of a strategy that asks in rounds, the ranking is
    that of the last question: the confidence says how clearly a finalist won, not how surely it came that far.

    Args:
        ranking: Names with their scores, all of them.
        label: The name that is predicted.

    Returns:
        The confidence, from 0 to 1; None where the scores are no log-probabilities (above 0, as votes and points are,
        or all minus infinity), the label is not ranked, or nothing else is.
    """
    scores = [score for _, score in ranking]
    best = max(scores, default=math.inf)
    score = next((score for name, score in ranking if name == label), None)
    if score is None or len(scores) < 2 or not -math.inf < best <= _ROUNDING:
        return None
    return math.exp(score - best) / math.fsum(math.exp(other - best) for other in scores)
