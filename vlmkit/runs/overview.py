"""The run directories below a folder: what each holds, found by name, and removed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from attrs import frozen

from vlmkit.errors import RunDirectoryError, UnknownNameError
from vlmkit.runs.directory import LOCK
from vlmkit.runs.files import Lock, disk_errors
from vlmkit.runs.stored import MANIFEST, StoredRun


@frozen
class Overview:
    """One run in a line.

    Args:
        path: The run directory.
        bytes: Size of its files.
        status: As its results say, ``unfinished`` before there are any, or ``broken``.
        problem: Why it is broken; empty if it is not.
        strategy: What was asked, or None where no strategy was.
        model: Who was asked.
        data: What about.
        accuracy: ``value``, ``low`` and ``high`` of the 95 % interval, or None without targets.
        started: When, ISO 8601, UTC.
    """

    path: Path
    bytes: int
    status: str
    problem: str = ""
    strategy: str | None = None
    model: str | None = None
    data: str | None = None
    accuracy: Mapping[str, float] | None = None
    started: str | None = None

    @classmethod
    def of(cls, path: Path) -> Self:
        """Look at a directory; whatever is wrong with it is a finding."""
        size = sum(file.lstat().st_size for file in path.rglob("*") if file.is_file())
        try:
            run = read_run(path)
            session: Mapping[str, Any] = run.manifest["session"]
            results: Mapping[str, Any] = run.results or {"status": "unfinished"}
            return cls(
                path,
                size,
                results["status"],
                **{name: session["config"].get(name) for name in ("strategy", "model", "data")},
                accuracy=results.get("metrics", {}).get("accuracy"),
                started=session["started"],
            )
        except RunDirectoryError as error:
            return cls(path, size, "broken", error.message)
        except (AttributeError, KeyError, TypeError) as error:
            return cls(path, size, "broken", f"its manifest or results lack something: {error}")


def read_run(path: Path) -> StoredRun:
    """Read a run directory; a ``manifest.json`` of something else is none.

    Raises:
        RunDirectoryError: It holds no run, or cannot be read.
    """
    run = StoredRun.read(path)
    if "fingerprint" not in run.manifest:
        raise RunDirectoryError(f"{path / MANIFEST} is no manifest of a run", hint="give another run directory")
    return run


def run_directories(root: Path) -> Iterator[Path]:
    """Yield the directories below ``root`` that hold a manifest, and its folders that hold none at all, by name."""
    if not root.is_dir():
        return
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        yield from sorted(manifest.parent for manifest in folder.rglob(MANIFEST)) or [folder]


def find_run(name: str, root: Path) -> Path:
    """Return the run directory that a path, or the begin or end of one's name below ``root``, stands for.

    Raises:
        RunDirectoryError: Several are meant.
        UnknownNameError: None is.
    """
    if Path(name).is_dir():
        return Path(name)
    names = {path.relative_to(root).as_posix(): path for path in run_directories(root)}
    found = [name] if name in names else [key for key in names if key.startswith(name) or key.endswith(name)]
    if not found:
        raise UnknownNameError("run", name, names, where=str(root))
    if len(found) > 1:
        raise RunDirectoryError(f"{name} may be any of {', '.join(found[:5])}", hint="write more of its name")
    return names[found[0]]


def delete_run(path: Path) -> None:
    """Remove a run directory with all that is in it.

    Raises:
        RunDirectoryError: It holds no run, is in use, or cannot be removed.
    """
    read_run(path)
    if path.is_symlink():
        raise RunDirectoryError(f"{path} is a link", hint="give the directory that it points to")
    lock = Lock.take(path / LOCK)
    try:
        with disk_errors(path):
            shutil.rmtree(path)
    finally:
        lock.release()
