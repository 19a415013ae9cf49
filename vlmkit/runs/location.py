"""Where a run without ``--output`` is written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from vlmkit.errors import RunDirectoryError
from vlmkit.runs.files import disk_errors
from vlmkit.runs.stored import read_manifest, read_results


def default_directory(
    fingerprint: Mapping[str, Any],
    name: str,
    *,
    root: Path = Path("runs"),
    fresh: bool = False,
    finished: bool = False,
) -> Path:
    """Return the newest unfinished run with the same fingerprint, or the name of a new one.

    A run is unfinished as long as its results do not say ``success``.

    Args:
        fingerprint: What the results depend on.
        name: End of a new directory's name, after the time.
        root: Where run directories lie.
        fresh: Whether to name a new one in any case.
        finished: Whether a finished run will do, and a new one will not.

    Raises:
        RunDirectoryError: ``root`` cannot be read, or there is no run where ``finished`` asks for one.
    """
    with disk_errors(root, "read"):
        if not fresh:
            for path in sorted(root.glob("*/"), key=lambda path: path.name, reverse=True):
                if _continues(path, fingerprint, finished=finished):
                    return path
        if finished:
            raise RunDirectoryError(f"there is no run of this configuration in {root}", hint="name it with --output")
        stem = path = root / f"{datetime.now():%Y%m%d-%H%M%S}-{name}"
        attempt = 1
        while path.exists():
            attempt += 1
            path = stem.with_name(f"{stem.name}-{attempt}")
        return path


def _continues(path: Path, fingerprint: Mapping[str, Any], *, finished: bool) -> bool:
    try:
        manifest = read_manifest(path)
        if manifest is None or manifest.get("fingerprint") != fingerprint:
            return False
        return finished or (read_results(path) or {}).get("status") != "success"
    except RunDirectoryError:
        return False
