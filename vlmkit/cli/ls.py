"""``vlmkit ls``: what is registered, with its options."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import click

from vlmkit.cli.main import session
from vlmkit.cli.output import console, print_json, table
from vlmkit.errors import PluginError
from vlmkit.registry import KINDS, Builder, Entry, Registry
from vlmkit.registry.build import READOUTS
from vlmkit.types import Capability

PLURALS: Mapping[str, str] = MappingProxyType(
    {kind: f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s" for kind in KINDS}
)
"""The kinds as the command line names them."""

_HEAVY = ("adapter", "intervention")
"""Kinds whose modules import torch: their options are not looked up."""

_COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "adapter": ("name", "readouts", "images", "branching", "features", "families"),
        "intervention": ("name", "summary", "owner"),
    }
)
"""The columns of the kinds that have others than ``_USUAL_COLUMNS``."""

_USUAL_COLUMNS = ("name", "options", "summary", "owner")


class _Kind(click.Choice[str]):
    """A kind in the plural, or in the singular."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(PLURALS.get(value, value), param, ctx)


@click.command()
@click.argument("kind", metavar="KIND", type=_Kind(list(PLURALS.values())))
@click.option("--json", is_flag=True, help="Print JSON.")
@click.pass_context
def ls(context: click.Context, kind: str, json: bool) -> None:
    """List what is registered.

    KIND is adapters, strategies, aggregators, interventions, datasets, benchmarks or engines. Shows names, options with
    their defaults, and who brings them.

    Options of adapters and interventions are in the docs: looking them up would import torch.
    """
    registry = session(context).plugins.registry
    singular = next(name for name, plural in PLURALS.items() if plural == kind)
    rows = [_row(entry, registry) for entry in registry.entries(singular)]
    if json:
        print_json(rows)
        return
    columns = _COLUMNS.get(singular, _USUAL_COLUMNS)
    console().print(table(columns, ([_cell(row, column) for column in columns] for row in rows)))


def _row(entry: Entry, registry: Registry) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": entry.name,
        "summary": entry.summary,
        "source": entry.source,
        "owner": entry.owner,
    }
    if entry.kind == "strategy":
        row["wraps"] = entry.wraps
    if entry.kind == "adapter":
        row["model_types"] = list(entry.model_types)
        row["readouts"] = [name for name, readout in READOUTS.items() if readout.requires in entry.capabilities]
        # A plugin that says nothing of what its adapter can do has said nothing of this either.
        row["several_images"] = Capability.MULTI_IMAGE in entry.capabilities if entry.capabilities else None
        row["branching"] = entry.branching
        row["features"] = Capability.FEATURES in entry.capabilities if entry.capabilities else None
    if entry.kind not in _HEAVY:
        try:
            row["options"] = _defaults(entry, registry)
        except PluginError as error:
            row["error"] = str(error)
    return row


def _cell(row: Mapping[str, Any], column: str) -> str:
    if column == "options":
        return _options(row)
    if column == "summary":
        return "\n".join(filter(None, (row["summary"], row["source"])))
    if column == "images":
        return {True: "several", False: "one", None: "unknown"}[row["several_images"]]
    if column == "features" and "features" in row:
        return {True: "yes", False: "no", None: "unknown"}[row["features"]]
    if column == "families":
        return "\n".join([row["summary"], ", ".join(row["model_types"])]).strip()
    return "\n".join(row[column]) if isinstance(row[column], list) else str(row[column])


def _options(row: Mapping[str, Any]) -> str:
    if "error" in row:
        return f"broken: {row['error']}"
    return ", ".join(name if default is None else f"{name}={default}" for name, default in row["options"].items())


def _defaults(entry: Entry, registry: Registry) -> dict[str, str | None]:
    """Return an entry's options with their defaults as a spec would write them; None for one that must be given."""
    factory = entry.load()
    options = {name: parameter.default for name, parameter in Builder(registry).options(entry).items()}
    if inspect.isclass(factory) and attrs.has(factory):
        options |= _attrs_defaults(factory, options)
    return {
        name.replace("_", "-"): None if default is inspect.Parameter.empty else _text(default, registry)
        for name, default in options.items()
    }


def _attrs_defaults(factory: type[attrs.AttrsInstance], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults that a signature does not tell: those that a function makes."""
    made = {field.alias: field for field in attrs.fields(factory) if field.default is not attrs.NOTHING}
    try:
        instance = factory()
    except TypeError:  # something has to be given, such as the inner strategy
        return {
            name: made[name].default.factory()
            for name in options
            if name in made and hasattr(made[name].default, "factory") and not made[name].default.takes_self
        }
    return {name: getattr(instance, made[name].name) for name in options if name in made}


def _text(value: Any, registry: Registry) -> str:
    """Return a default as a spec would write it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, str | int | float | Path):
        return str(value)
    if isinstance(value, tuple):
        return ",".join(_text(item, registry) for item in value)
    for name, readout in READOUTS.items():
        if type(value) is readout:
            return name
    kind = type(value)
    target = f"{kind.__module__}:{kind.__qualname__}"
    names = (entry.name for each in KINDS for entry in registry.entries(each) if entry.target == target)
    return next(names, kind.__name__)
