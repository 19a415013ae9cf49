"""What a manifest says of a run and of the machine that it ran on."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from vlmkit.contracts import Backend
from vlmkit.installed import installed_version
from vlmkit.registry import PluginHost
from vlmkit.runs.fingerprint import described, label_digest
from vlmkit.types import LabelSpace, Taxonomy

SCHEMA = 1
"""Version of the files of a run directory."""

_PACKAGES = ("vlmkit", "torch", "transformers", "pillow", "numpy")


def versions() -> dict[str, str | None]:
    """Return the versions of Python and of the packages that results depend on; None for one not installed."""
    return {"python": platform.python_version(), **{package: installed_version(package) for package in _PACKAGES}}


def manifest(
    *,
    fingerprint: Mapping[str, Any],
    config: Mapping[str, Any],
    backend: Backend,
    labels: LabelSpace,
    plugins: PluginHost,
    seed: int,
    taxonomy: Taxonomy | None = None,
) -> dict[str, Any]:
    """Return the manifest of a run that starts now.

    ``session`` holds what may change from one go to the next; continuing a run adds its own.
    """
    identity = described(backend.identity)
    return {
        "schema": SCHEMA,
        "fingerprint": fingerprint,
        "model": identity,
        "labels": {
            "number": len(labels),
            "sha256": label_digest(labels),
            "collisions": [list(group) for group in labels.collisions],
        },
        **({} if taxonomy is None else {"taxonomy": _shape(taxonomy)}),
        "seed": seed,
        "session": {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "config": config,
            "device": identity.get("device"),
            "platform": platform.platform(),
            "versions": versions(),
            "plugins": [
                {"name": plugin.name, "distribution": plugin.distribution, "version": plugin.version}
                for plugin in plugins.plugins
                if plugin.error is None
            ],
        },
    }


def _shape(taxonomy: Taxonomy) -> dict[str, Any]:
    return {
        "leaves": len(taxonomy.paths),
        "depth": taxonomy.depth,
        "ranks": list(taxonomy.ranks),
        "root": taxonomy.root,
        "sha256": taxonomy.digest,
    }
