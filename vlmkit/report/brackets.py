"""The questions of each round with all their options, from ``samples.jsonl``."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from vlmkit.report.subject import Subject

Bracket = list[list[dict[str, Any]]]
"""For each round its questions, JSON-ready."""


def brackets(subject: Subject, wanted: Collection[str], number_of: Callable[[str], int]) -> dict[str, Bracket]:
    """Return the questions of the wanted examples by id, where the run logged them.

    Args:
        subject: The run.
        wanted: Ids of examples.
        number_of: Gives each label the number that stands for it.
    """
    found: dict[str, Bracket] = {}
    for sample in subject.stored.samples() if wanted else ():
        if sample["id"] not in wanted:
            continue
        rounds = found.setdefault(sample["id"], [])
        rounds.extend([] for _ in range(sample["round"] + 1 - len(rounds)))
        rounds[sample["round"]].append(_question(sample, number_of))
    return found


def _question(sample: Mapping[str, Any], number_of: Callable[[str], int]) -> dict[str, Any]:
    if "options" not in sample:
        return {key: sample[key] for key in ("reply", "error") if sample.get(key) is not None}
    question: dict[str, Any] = {"options": [number_of(name) for name in sample["options"]]}
    if sample["log_probs"] is not None:
        question["scores"] = [rounded(score) for score in sample["log_probs"]]
    if sample["none_log_prob"] is not None:
        question["none"] = rounded(sample["none_log_prob"])
    if sample["choice"] is None:
        question["outcome"] = sample["outcome"]
    else:
        question["choice"] = number_of(sample["choice"])
    if sample["reply"] is not None:
        question["reply"] = sample["reply"]
    return question


def rounded(score: float | None) -> float | None:
    """Return a score with the digits that a reader looks at: two behind the point, or two that are not zero."""
    if score is None or score == 0:
        return score
    return round(score, max(2, 1 - math.floor(math.log10(abs(score)))))
