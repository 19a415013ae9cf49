"""The run directories below a folder: what each holds, found by name, and removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from attrs import frozen
from cattrs import BaseValidationError

from vlmkit.errors import RunDirectoryError, UnknownNameError
from vlmkit.measures import Interval
from vlmkit.runs.convert import from_json
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
        accuracy: With its 95 % interval, or None without targets.
        started: When, ISO 8601, UTC.
    """

    path: Path
    bytes: int
    status: str
    problem: str = ""
    strategy: str | None = None
    model: str | None = None
    data: str | None = None
    accuracy: Interval | None = None
    started: str | None = None

    @classmethod
    def of(cls, path: Path) -> Self:
        """Look at a directory; whatever is wrong with it is a finding."""
        size = _size(path)
        try:
            run = StoredRun.read(path)
            session: Mapping[str, Any] = run.manifest["session"]
            config: Mapping[str, Any] = session["config"]
            accuracy = (run.results or {}).get("metrics", {}).get("accuracy")
            return cls(
                path,
                size,
                run.status,
                strategy=_words(config.get("strategy")),
                model=_words(config.get("model")),
                data=_words(config.get("data")),
                accuracy=None if accuracy is None else from_json(accuracy, Interval),
                started=session["started"],
            )
        except RunDirectoryError as error:
            return cls(path, size, "broken", error.message)
        except (AttributeError, KeyError, TypeError, BaseValidationError) as error:
            return cls(path, size, "broken", f"its manifest or results lack something: {error}")


def _size(path: Path) -> int:
    """Return the bytes of all files below a directory; a run at work replaces some of them meanwhile."""
    size = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                size += os.lstat(os.path.join(folder, name)).st_size
    return size


def _words(value: Any) -> str | None:
    return None if value is None else str(value)


def run_directories(root: Path) -> Iterator[Path]:
    """Yield the directories below ``root`` that hold a manifest, and its folders that hold none at all, by name.

    Raises:
        RunDirectoryError: ``root`` cannot be read.
    """
    if not os.path.isdir(root):
        return
    with disk_errors(root, "read"):
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    for folder in folders:
        yield from sorted(manifest.parent for manifest in folder.rglob(MANIFEST)) or [folder]


def find_run(name: str, root: Path) -> Path:
    """Return the run directory that a path, or the begin or end of one's name below ``root``, stands for.

    Raises:
        RunDirectoryError: Several are meant.
        UnknownNameError: None is.
    """
    if os.path.isdir(name):  # Path's own way raises for a name that is too long
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
    StoredRun.read(path)
    if path.is_symlink():
        raise RunDirectoryError(f"{path} is a link", hint="give the directory that it points to")
    lock = Lock.take(path / LOCK)
    try:
        with disk_errors(path):
            shutil.rmtree(path)
    finally:
        lock.release()
