"""From records to figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self

from attrs import define, field

from vlmkit.measures import wilson
from vlmkit.runs.convert import to_json
from vlmkit.runs.manifest import SCHEMA
from vlmkit.runs.record import Record
from vlmkit.types import Usage

Status = Literal["success", "cancelled", "failed", "unfinished"]
"""How a run ended: all examples within the failure budget; interrupted; with too many failures, or an error; or without
all examples, by itself or killed."""


@define
class Tally:
    """Running sums over records.

    Args:
        done: Examples with a prediction.
        failed: Examples without one.
        judged: Examples done whose target is known; the denominator of accuracy.
        correct: Examples judged whose label is the target.
        in_top5: Examples judged whose target is among the best five of the ranking.
        classified: Examples done that asked for a label; the denominator of coverage.
        kept: Those of them with a label that is not abstained from.
        kept_judged: Those of them whose target is known; the denominator of selective accuracy.
        kept_correct: Those of these whose label is the target.
        queries: Questions in the traces; the denominator of the rates.
        none: Questions answered with ``None``.
        invalid: Questions whose reply was no option.
        survived: For each round, in how many examples the target survived it, and of how many.
        usage: What all examples cost, the failed ones included.
        abstain_below: Confidence below which a prediction counts as abstained from.
    """

    done: int = 0
    failed: int = 0
    judged: int = 0
    correct: int = 0
    in_top5: int = 0
    classified: int = 0
    kept: int = 0
    kept_judged: int = 0
    kept_correct: int = 0
    queries: int = 0
    none: int = 0
    invalid: int = 0
    survived: list[tuple[int, int]] = field(factory=list)
    usage: Usage = field(factory=Usage)
    abstain_below: float = 0.0

    @classmethod
    def of(cls, records: Iterable[Record], *, abstain_below: float = 0.0) -> Self:
        """Return the sums over ``records``."""
        tally = cls(abstain_below=abstain_below)
        for record in records:
            tally.add(record)
        return tally

    def add(self, record: Record) -> None:
        """Count one more record."""
        self.usage += record.usage
        if record.error is not None:
            self.failed += 1
            return
        self.done += 1
        answered = record.kept(self.abstain_below)
        self.classified += record.text is None
        self.kept += answered
        if record.correct is not None:
            self.judged += 1
            self.correct += record.correct
            self.kept_judged += answered
            self.kept_correct += int(answered and record.correct)
            self.in_top5 += record.in_top5
        for index, played in enumerate(record.trace):
            self.queries += played.queries
            self.none += played.none
            self.invalid += played.invalid
            if played.target_survived is not None:
                if index == len(self.survived):
                    self.survived.append((0, 0))
                kept, of = self.survived[index]
                self.survived[index] = (kept + played.target_survived, of + 1)

    @property
    def metrics(self) -> dict[str, Any]:
        """The proportions with their 95 % intervals; None where nothing was counted."""
        return {
            "accuracy": to_json(wilson(self.correct, self.judged)),
            "top5_accuracy": to_json(wilson(self.in_top5, self.judged)),
            "coverage": to_json(wilson(self.kept, self.classified)),
            "selective_accuracy": to_json(wilson(self.kept_correct, self.kept_judged)),
            "none_rate": to_json(wilson(self.none, self.queries)),
            "invalid_rate": to_json(wilson(self.invalid, self.queries)),
            "gold_survival": [to_json(wilson(kept, of)) for kept, of in self.survived],
        }


def summary(
    records: Iterable[Record],
    *,
    status: Status,
    total: int,
    config: Mapping[str, Any],
    directory: str,
    limit: int | None,
    collisions: Sequence[Sequence[str]],
    abstain_below: float = 0.0,
) -> dict[str, Any]:
    """Return what ``results.json`` holds.

    Args:
        records: All records of the run, from every go.
        status: How it ended.
        total: Examples that the run was asked to solve.
        config: The merged options.
        directory: Where the run is written.
        limit: The ``--limit`` that was set; figures under a limit are not for reporting.
        collisions: Labels that a parser which ignores case cannot tell apart.
        abstain_below: Confidence below which a prediction counts as abstained from.
    """
    tally = Tally.of(records, abstain_below=abstain_below)
    return {
        "schema": SCHEMA,
        "status": status,
        "n": {"total": total, "done": tally.done, "failed": tally.failed},
        "metrics": tally.metrics,
        # Forwards are shared out over the queries of a batch: only their sum is a whole number.
        "usage": {**to_json(tally.usage), "forwards": round(tally.usage.forwards)},
        "limit": limit,
        "abstain_below": abstain_below,
        "collisions": [list(group) for group in collisions],
        "config": config,
        "directory": directory,
    }
