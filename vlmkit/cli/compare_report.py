"""A comparison of runs as tables and as a page; lines are texts, the first of each table its head."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vlmkit.comparison import Comparison, Pair
from vlmkit.comparison.figures import RISKS
from vlmkit.markdown import markdown_table
from vlmkit.measures import Interval, Threshold
from vlmkit.runs import shown

Lines = list[tuple[str, ...]]
"""A table: its head, and its rows."""

_PAIR = ("pair", "right: both / first / second / none", "difference", "odds ratio", "p", "Holm", "needed")
_COUNTS = "right: examples that both runs have right, the first or the second alone, and none of the two."
_EFFECT = "difference: points of top-1 accuracy that the second run has more than the first, with its 95 % interval."
_P = (
    "p: mid-p McNemar; where several examples show the same picture, by flipping the signs of whole pictures. "
    "Holm: adjusted for {pairs}."
)
_NEEDED = "needed: examples in all for 80 % power at 5 %, if the difference is what it was here."
_ABSTAIN = (
    "abstain below: the confidence that keeps most examples, found on these examples themselves and so too good; "
    "use it on others with vlmkit run --abstain-below."
)


def run_lines(found: Comparison) -> Lines:
    """Return a column for each run: what sets it apart, and its figures."""
    runs = found.runs
    rows: Lines = [
        ("", *_names(found).values()),
        ("directory", *(one.directory for one in runs)),
        *((key, *(_setting(key, value) for value in row)) for key, row in found.differences.items()),
        ("examples", *(f"{one.done:,}" for one in runs)),
        ("failed", *(f"{one.failed:,}" for one in runs)),
    ]
    if any(one.clusters != one.done for one in runs):
        rows.append(("pictures", *(f"{one.clusters:,}" for one in runs)))
    for title, name in (
        ("accuracy", "accuracy"),
        ("top-5 accuracy", "top5_accuracy"),
        ("none rate", "none_rate"),
        ("invalid rate", "invalid_rate"),
    ):
        rows.append((title, *(_share(one.shares[name]) for one in runs)))
    for what, form in (("queries", ".1f"), ("forwards", ".2f"), ("tokens", ",.0f"), ("seconds", ".3f")):
        rows.append((f"{what} per example", *(format(getattr(one.cost, what), form) for one in runs)))
    return rows


def calibration_lines(found: Comparison) -> Lines:
    """Return a column for each run with confidences: what these are worth; no line where no run has any."""
    runs = [(name, one.confidences) for name, one in zip(_names(found).values(), found.runs, strict=True)]
    scored = [(name, one) for name, one in runs if one is not None]
    if not scored:
        return []
    return [
        ("confidence", *(name for name, _ in scored)),
        ("examples with one", *(f"{one.calibration.n:,}" for _, one in scored)),
        ("calibration error (ECE)", *(f"{one.calibration.ece:.3f}" for _, one in scored)),
        ("Brier score", *(f"{one.calibration.brier:.3f}" for _, one in scored)),
        ("area under risk-coverage", *(f"{one.aurc:.3f}" for _, one in scored)),
        *(
            (f"abstain below, for {risk:.0%} wrong", *(_operating(one.operating[index].threshold) for _, one in scored))
            for index, risk in enumerate(RISKS)
        ),
    ]


def pair_lines(found: Comparison) -> Lines:
    """Return a row for each pair."""
    names = _names(found)
    return [_PAIR, *((f"{names[pair.a]}, {names[pair.b]}", *_pair(pair)) for pair in found.pairs)]


def footnotes(found: Comparison) -> Iterator[str]:
    """Say how the figures were come by, and what they leave out."""
    names = _names(found)
    for pair in found.pairs:
        if pair.left_out:
            yield f"{names[pair.a]}, {names[pair.b]}: {pair.left_out:,} examples are left out, not judged in both."
    yield _COUNTS
    yield _EFFECT
    yield _P.format(pairs="one pair" if len(found.pairs) == 1 else f"{len(found.pairs):,} pairs")
    yield _NEEDED
    if any(one.confidences for one in found.runs):
        yield _ABSTAIN


def page(found: Comparison) -> str:
    """Return the comparison in Markdown."""
    tables = (run_lines(found), calibration_lines(found), pair_lines(found))
    notes = "\n".join(f"- {line}" for line in footnotes(found))
    shown = [markdown_table(lines[0], lines[1:]) for lines in tables if lines]
    return "\n\n".join(["# Runs compared", *shown, notes]) + "\n"


def _names(found: Comparison) -> dict[str, str]:
    """Return the number of each run by its directory."""
    return {one.directory: str(number) for number, one in enumerate(found.runs, start=1)}


def _setting(key: str, value: Any) -> str:
    if value is None:
        return "-"
    text = shown(value).strip('"')
    return text.rpartition(".")[2] if key.rpartition(".")[2] == "type" else text


def _share(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.value:.1%} ({interval.low:.1%} to {interval.high:.1%})"


def _operating(threshold: Threshold | None) -> str:
    if threshold is None:
        return "-"
    return f"{threshold.at:.4f} (keeps {threshold.coverage:.0%})"


def _pair(pair: Pair) -> Iterator[str]:
    one = pair.compared
    yield " / ".join(f"{count:,}" for count in (one.both, one.only_a, one.only_b, one.neither))
    points = one.difference
    yield f"{100 * points.value:+.1f} ({100 * points.low:+.1f} to {100 * points.high:+.1f})"
    yield "-" if one.odds_ratio is None else f"{one.odds_ratio:.2f}"
    yield from (_p(p) for p in (one.p, pair.p_holm))
    yield "-" if one.needed is None else f"{one.needed:,}"


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"
