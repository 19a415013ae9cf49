"""A run's results for the reader at the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from rich.table import Table

from vlmkit.cli.output import one_line, table
from vlmkit.runs import Record
from vlmkit.runs.record import Failure

PREDICTIONS_SHOWN = 50
"""Predictions that are printed where there is no target to judge them by; all are in ``predictions.jsonl``."""


def results_table(results: Mapping[str, Any], *, judged: bool) -> Table:
    """Return the results as a table; without targets it shows no accuracy."""
    n, metrics, usage = results["n"], results["metrics"], results["usage"]
    tried = n["done"] + n["failed"] or 1
    rows = [("status", results["status"])]
    if judged:
        rows += [("accuracy", _share(metrics["accuracy"])), ("top-5 accuracy", _share(metrics["top5_accuracy"]))]
    if results["abstain_below"]:
        rows.append(("coverage", _share(metrics["coverage"])))
        if judged:
            rows.append(("selective accuracy", _share(metrics["selective_accuracy"])))
    rows += [
        ("examples", f"{n['done']:,} of {n['total']:,}"),
        ("failed", f"{n['failed']:,}"),
        ("queries", f"{usage['queries']:,}" + (f" ({usage['cached']:,} from the cache)" if usage["cached"] else "")),
        ("forwards per example", f"{usage['forwards'] / tried:.2f}"),
        ("tokens per example", f"{sum(usage['tokens'].values()) / tried:,.0f}"),
        ("seconds per example", f"{usage['seconds'] / tried:.3f}"),
    ]
    if usage["retries"]:
        rows.append(("retries", f"{usage['retries']:,}"))
    if usage["cost"]:
        rows.append(("cost", f"{usage['cost']:,.4f}"))
    if results["limit"] is not None:
        rows.append(("limit", f"{results['limit']:,} (not for reporting)"))
    rows.append(("directory", results["directory"]))
    return table(("", ""), rows)


def predictions_table(records: Iterable[Record], abstain_below: float = 0.0) -> Table:
    """Return the first predictions as a table of id, label or reply, and score; labels abstained from say so."""
    shown = islice(records, PREDICTIONS_SHOWN)
    return table(("id", "prediction", "score"), (_prediction(record, abstain_below) for record in shown))


def reason(failure: Failure, example: str) -> str:
    """Return in one line why an example failed, to stand beside its id, with which errors about pictures begin."""
    return one_line(failure.message.removeprefix(f"image {example}: "))


def _prediction(record: Record, abstain_below: float) -> tuple[str, str, str]:
    if record.error is not None:
        return record.id, f"failed: {reason(record.error, record.id)}", ""
    if record.text is not None:
        return record.id, record.text, ""
    score = next((score for name, score in record.ranking if name == record.label and score is not None), None)
    label = record.label or "(none)"
    if record.label is not None and not record.kept(abstain_below):
        label = f"(abstained) {label}"
    return record.id, label, "" if score is None else f"{score:.3f}"


def _share(interval: Mapping[str, float] | None) -> str:
    if interval is None:
        return "-"
    return f"{interval['value']:.1%} (95 % interval {interval['low']:.1%} to {interval['high']:.1%})"
