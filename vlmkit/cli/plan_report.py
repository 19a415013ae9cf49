"""A plan for the reader at the terminal, and for machines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from vlmkit.cli.output import table
from vlmkit.planning import Figures, Plan, Planned, Sizes
from vlmkit.planning.sizes import Size

SCHEMA = 1
"""Version of what ``--json`` prints."""


def plan_json(plan: Plan, sizes: Sizes | None) -> dict[str, Any]:
    """Return a plan as plain JSON values; what is not known is None."""
    weights = plan.weights
    return {
        "schema": SCHEMA,
        "model": plan.model,
        "data": plan.data,
        "labels": plan.labels,
        "examples": plan.examples,
        "driven": plan.driven,
        "weights": None
        if weights is None
        else {
            "parameters": weights.parameters,
            "dtype": weights.dtype,
            "bytes": weights.bytes,
            "kv_bytes_per_token": weights.kv_bytes,
            "trunk_bytes_at_most": weights.trunk_bytes_at_most,
        },
        "strategies": [_part(part, plan.examples) for part in plan.strategies],
        "group_sizes": None if sizes is None else _sizes(sizes),
        "notes": list(plan.notes),
    }


def plan_tables(plan: Plan, sizes: Sizes | None) -> Iterator[Table]:
    """Yield the tables of a plan: the setting, the strategies side by side, the group sizes."""
    driven = "" if plan.driven == plan.examples else f", from {plan.driven:,} of them"
    setting = [
        ("model", plan.model),
        ("data", plan.data),
        ("labels", f"{plan.labels:,}"),
        ("examples", f"{plan.examples:,}{driven}"),
    ]
    if plan.weights is not None:
        weights = plan.weights
        setting += [
            ("parameters", f"{weights.parameters:,}"),
            ("weights", f"{_bytes(weights.bytes)} in {weights.dtype}"),
            ("keys and values", f"{_bytes(weights.kv_bytes)} a token"),
        ]
    yield table(("", ""), setting)
    columns = [_rows(part, plan) for part in plan.strategies]
    rows = ([name, *(column[name] for column in columns)] for name in columns[0])
    yield table(("an example", *(part.strategy for part in plan.strategies)), rows)
    if sizes is not None:
        yield table(("group size", "queries", "rounds", "tokens", "FLOPs", "W proxy"), map(_size_row, sizes.sizes))
        names = {"tokens": "tokens", "flops": "FLOPs", "proxy": "W proxy"}
        lowest = [(f"lowest {names[key]}", _number(size)) for key, size in _lowest(sizes).items()]
        yield table(("", "group size"), lowest)


def _part(part: Planned, examples: int) -> dict[str, Any]:
    each, seconds = part.per_example, part.seconds_per_example
    return {
        "strategy": part.strategy,
        "failed": part.failed,
        "per_example": {**_figures(each), "seconds": seconds},
        "run": {
            name: None if value is None else value * examples
            for name, value in {
                "queries": each.queries,
                "forwards": each.forwards,
                "tokens": each.tokens,
                "flops": each.total_flops,
                "seconds": seconds,
            }.items()
        },
        "trunk_bytes_per_example": part.trunk_bytes,
        "tokens_per_second": None if part.rate is None else part.rate.tokens_per_second,
        "rate": None if part.rate is None else part.rate.source,
    }


def _figures(each: Figures) -> dict[str, Any]:
    known, flops = each.tokens is not None, each.flops
    return {
        "queries": each.queries,
        "rounds": each.rounds,
        "forwards": each.forwards,
        "images_encoded": each.images_encoded,
        "tokens": {"trunk": each.trunk, "branch": each.branch, "generated_at_most": each.generated_at_most}
        if known
        else None,
        "flops": None if flops is None else {"text": flops.text, "vision": flops.vision, "total": flops.total},
    }


def _sizes(sizes: Sizes) -> dict[str, Any]:
    return {
        "strategy": sizes.strategy,
        "fixed_tokens": sizes.fixed_tokens,
        "label_tokens": sizes.label_tokens,
        "lowest": _lowest(sizes),
        "sizes": [
            {"group_size": size.group_size, **_figures(size.per_example), "proxy": size.proxy} for size in sizes.sizes
        ],
    }


def _lowest(sizes: Sizes) -> dict[str, int | None]:
    return {
        "tokens": sizes.lowest(lambda size: size.per_example.tokens),
        "flops": sizes.lowest(lambda size: size.per_example.total_flops),
        "proxy": sizes.lowest(lambda size: size.proxy),
    }


def _rows(part: Planned, plan: Plan) -> dict[str, str]:
    each, flops = part.per_example, part.per_example.flops
    rows = {"queries": _number(each.queries), "rounds": _number(each.rounds)}
    if each.tokens is not None:
        rows |= {
            "forwards": _number(each.forwards),
            "trunk tokens": _number(each.trunk),
            "branch tokens": _number(each.branch),
            "generated at most": _number(each.generated_at_most),
            "text FLOPs": _flops(None if flops is None else flops.text),
            "vision FLOPs": _flops(None if flops is None else flops.vision),
            "trunk memory": _bytes(part.trunk_bytes or 0),
        }
    rows["queries of the run"] = _number(each.queries * plan.examples)
    if each.tokens is not None:
        rows["tokens of the run"] = _number(each.tokens * plan.examples)
    if part.rate is not None and part.seconds_per_example is not None:
        rows["tokens a second"] = f"{_number(part.rate.tokens_per_second)} ({part.rate.source})"
        rows["seconds"] = _number(part.seconds_per_example)
        rows["seconds of the run"] = _number(part.seconds_per_example * plan.examples)
    if any(one.failed for one in plan.strategies):
        rows["examples that failed"] = f"{part.failed:,}"
    return rows


def _size_row(size: Size) -> tuple[str, ...]:
    each = size.per_example
    flops = _flops(each.total_flops)
    return (
        str(size.group_size),
        _number(each.queries),
        _number(each.rounds),
        _number(each.tokens),
        flops,
        _flops(size.proxy),
    )


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.3g}"


def _flops(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _bytes(value: float) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value:,.0f} bytes"
