"""Writing so that a killed process or a full disk never spoils what is already there."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from attrs import frozen

from vlmkit.errors import RunDirectoryError
from vlmkit.runs.convert import dumps

_CURES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free space"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "change its permissions"),
}


@contextmanager
def disk_errors(path: Path, what: Literal["written", "read"] = "written") -> Iterator[None]:
    """Turn the system's errors about ``path``, which shall be written or read, into one of the run directory.

    Raises:
        RunDirectoryError: The system refuses it.
    """
    try:
        yield
    except OSError as error:
        cure = _CURES.get(error.errno or 0, "see to it")
        other = " or give another --output; the same command goes on from what is there" if what == "written" else ""
        raise RunDirectoryError(f"{path} cannot be {what} ({error.strerror or error})", hint=cure + other) from error


def write_atomically(path: Path, chunks: Iterable[bytes]) -> None:
    """Replace a file as a whole: readers see the old content or the new one, never a part.

    Raises:
        RunDirectoryError: It cannot be written; the old content is still there.
    """
    beside = path.with_name(f".{path.name}.tmp")
    with disk_errors(path):
        try:
            with beside.open("wb") as file:
                file.writelines(chunks)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
        _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@frozen
class Lock:
    """A lock on a file that the system releases when its process ends, however it ends.

    Args:
        path: The lock file; it holds the number of the process that has the lock.
    """

    path: Path
    _descriptor: int

    @classmethod
    def take(cls, path: Path) -> Lock:
        """Take the lock at once.

        Raises:
            RunDirectoryError: Another process has it, or the file cannot be written.
        """
        with disk_errors(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
            except BlockingIOError:
                holder = os.read(descriptor, 20).decode(errors="replace").strip()
                os.close(descriptor)
                raise RunDirectoryError(
                    f"run directory {path.parent} is in use by process {holder or 'unknown'}",
                    hint="wait for it, or give another --output",
                ) from None
            except BaseException:
                os.close(descriptor)
                raise
        return cls(path, descriptor)

    def check(self) -> None:
        """Make sure that the directory is still the one that was locked.

        Raises:
            RunDirectoryError: It was removed, moved or replaced.
        """
        with suppress(OSError):
            if os.path.samestat(os.stat(self.path), os.fstat(self._descriptor)):
                return
        raise RunDirectoryError(
            f"run directory {self.path.parent} was removed or replaced while the run was at work",
            hint="put it back, or start again with the same command",
        )

    def release(self) -> None:
        """Let others take it."""
        os.close(self._descriptor)


@frozen
class JsonLines:
    """A file with one JSON object a line, to which lines are appended.

    Args:
        path: The file; it need not exist yet.
    """

    path: Path

    def append(self, *values: dict[str, Any]) -> None:
        """Add lines and wait until they are on the disk.

        Raises:
            RunDirectoryError: They cannot be written; the file is as before.
        """
        remaining = b"".join(dumps(value) + b"\n" for value in values)
        with disk_errors(self.path):
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                size = os.fstat(descriptor).st_size
                try:
                    while remaining:
                        remaining = remaining[os.write(descriptor, remaining) :]
                    os.fsync(descriptor)
                    if size == 0:
                        _sync_directory(self.path.parent)
                except OSError:
                    os.ftruncate(descriptor, size)
                    raise
            finally:
                os.close(descriptor)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Read the objects in order; a last line that is torn is none yet.

        Raises:
            RunDirectoryError: A line is no JSON object.
        """
        for number, line in enumerate(self._lines(), start=1):
            yield self._parsed(line, number)

    def mend(self) -> bool:
        """Cut off a torn last line, which a killed process left; return whether there was one."""
        with disk_errors(self.path):
            if not self.path.exists():
                return False
            with self.path.open("rb+") as file:
                whole, last = 0, b"\n"
                for last in file:
                    whole += len(last) if _is_whole(last) else 0
                torn = whole < file.seek(0, os.SEEK_END)
                if torn:
                    file.truncate(whole)
                elif not last.endswith(b"\n"):
                    file.write(b"\n")
                file.flush()
                os.fsync(file.fileno())
        return torn

    def keep(self, wanted: Callable[[dict[str, Any]], bool]) -> int:
        """Drop the lines that are not wanted, atomically; return how many.

        Raises:
            RunDirectoryError: A line is no JSON object, or the file cannot be written.
        """
        dropped = sum(not wanted(value) for value in self)
        if dropped:
            lines = ((line, self._parsed(line, number)) for number, line in enumerate(self._lines(), start=1))
            write_atomically(self.path, (line for line, value in lines if wanted(value)))
        return dropped

    def _lines(self) -> Iterator[bytes]:
        with disk_errors(self.path, "read"):
            if self.path.exists():
                with self.path.open("rb") as file:
                    # Another process may be writing the last one.
                    yield from filter(_is_whole, file)

    def _parsed(self, line: bytes, number: int) -> dict[str, Any]:
        value = _object(line)
        if value is None:
            raise RunDirectoryError(
                f"{self.path} line {number} is damaged", hint="remove that line; its example is then solved again"
            )
        return value


def _is_whole(line: bytes) -> bool:
    """Whether a line has its end, or lacks nothing else, as where an editor wrote the file."""
    return line.endswith(b"\n") or _object(line) is not None


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
