"""Which labels a run takes for which."""

from __future__ import annotations

from collections import Counter

from attrs import frozen

from vlmkit.report.subject import Outcome, Subject

SHOWN = 10
"""Pairs of labels that a report lists."""


@frozen
class Confusion:
    """A label that was taken for another.

    Args:
        target: The right label.
        label: The predicted one.
        times: In how many examples.
        of: Examples of the right label that have a prediction.
    """

    target: str
    label: str
    times: int
    of: int


def confusions(subject: Subject) -> list[Confusion]:
    """Return the most frequent confusions, most frequent first; ties stand in the order of the examples."""
    done = [record for record in subject.records if record.error is None]
    targets = Counter(record.target for record in done)
    pairs = Counter((record.target, record.label) for record in done if Outcome.of(record) is Outcome.WRONG)
    return [
        Confusion(target, label, times, targets[target])
        for (target, label), times in pairs.most_common(SHOWN)
        if target is not None and label is not None
    ]
