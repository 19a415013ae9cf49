"""A file of answers, which several processes may share."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from attrs import field, frozen

from vlmkit.errors import CacheError, UnknownNameError

FORMAT = 1
"""Version of the file's tables and of what is in them."""

_OURS = int.from_bytes(b"vlmk", "big")
"""Marks an SQLite file as one of answers."""

_PATIENCE = 60.0
"""Seconds to wait while another process writes."""

_AT_ONCE = 500
"""Keys looked up by one statement; SQLite takes at least 999 everywhere."""

_DAY = 24 * 60 * 60
"""Seconds."""

_TABLE = """
CREATE TABLE answers (
    key BLOB PRIMARY KEY,
    model TEXT NOT NULL,
    written INTEGER NOT NULL,
    answer BLOB NOT NULL
)
"""


@frozen
class Holding:
    """What a store holds of one model.

    Args:
        model: The model's name.
        answers: Number of answers.
        size: Their size in bytes, without that of keys and tables.
        oldest: When the oldest of them was written, in seconds since 1970.
        newest: When the newest of them was written.
    """

    model: str
    answers: int
    size: int
    oldest: int
    newest: int


@frozen
class AnswerStore:
    """Answers by key, in an SQLite file. Use it in a ``with`` statement, from any thread.

    A killed process loses the answers that it was about to write and no others.

    Args:
        path: The file.
    """

    path: Path
    _connection: sqlite3.Connection = field(repr=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a file, or make one where there is none.

        Raises:
            CacheError: It is something else, is damaged, cannot be written, or is of another version.
        """
        path = Path(os.path.expanduser(path))
        with _refused(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rwc",
                uri=True,
                timeout=_PATIENCE,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                _begin(connection, path)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    def read(self, keys: Set[bytes]) -> dict[bytes, bytes]:
        """Return the answers that are there, by key.

        Raises:
            CacheError: The file cannot be read, or is damaged.
        """
        wanted = list(keys)
        found: dict[bytes, bytes] = {}
        with self._lock, _refused(self.path):
            for start in range(0, len(wanted), _AT_ONCE):
                part = wanted[start : start + _AT_ONCE]
                marks = ",".join("?" * len(part))
                found.update(self._connection.execute(f"SELECT key, answer FROM answers WHERE key IN ({marks})", part))
        return found

    def write(self, model: str, answers: Mapping[bytes, bytes]) -> None:
        """Add answers, all or none; one that is there already stays.

        Args:
            model: Whose answers they are.
            answers: The answers by key.

        Raises:
            CacheError: The file cannot be written, or is damaged.
        """
        if not answers:
            return
        now = int(time.time())
        rows = [(key, model, now, answer) for key, answer in answers.items()]
        with self._lock, _refused(self.path), _transaction(self._connection):
            self._connection.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", rows)

    def holdings(self) -> list[Holding]:
        """Return what is there, by model.

        Raises:
            CacheError: The file cannot be read, or is damaged.
        """
        columns = "model, count(*), sum(length(answer)), min(written), max(written)"
        with self._lock, _refused(self.path):
            rows = self._connection.execute(f"SELECT {columns} FROM answers GROUP BY model ORDER BY model").fetchall()
        return [Holding(*row) for row in rows]

    def clear(self, model: str | None = None, *, older_than: float = 0.0) -> int:
        """Remove answers, give their room back, and return how many they were.

        Args:
            model: Whose answers; by default those of all models.
            older_than: Least age of what is removed, in days.

        Raises:
            UnknownNameError: There is no answer of that model.
            CacheError: The file cannot be written, or is damaged.
        """
        known = [holding.model for holding in self.holdings()]
        if model is not None and model not in known:
            raise UnknownNameError("model", model, known, where=str(self.path))
        latest = time.time() - older_than * _DAY
        with self._lock, _refused(self.path):
            removed = self._connection.execute(
                "DELETE FROM answers WHERE written <= ? AND model = coalesce(?, model)", (latest, model)
            ).rowcount
            self._connection.execute("VACUUM")
        return removed

    def damaged(self, reason: str) -> CacheError:
        """Return the error that says so."""
        return _damaged(self.path, reason)

    def close(self) -> None:
        """Close the file, once no thread reads or writes it: SQLite's connection would go from under its feet."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _begin(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure that a file is one of answers; turn an empty one into such a file, and no other."""
    if _is_empty(connection):
        with _transaction(connection):
            if _is_empty(connection):  # still, now that no other process can write
                connection.execute(_TABLE)
                connection.execute(f"PRAGMA user_version = {FORMAT}")
                connection.execute(f"PRAGMA application_id = {_OURS}")
    if _number(connection, "application_id") != _OURS:
        raise CacheError(f"{path} is an SQLite file, but no answer cache", hint="give another file")
    if (written := _number(connection, "user_version")) != FORMAT:
        raise CacheError(
            f"answer cache {path} has format {written}, and this version of vlmkit reads {FORMAT}",
            hint="give another file, or delete this one",
        )
    # Readers and a writer do not wait for each other. Where it is busy, another process is switching just now.
    with suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _is_empty(connection: sqlite3.Connection) -> bool:
    (things,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return _number(connection, "application_id") == 0 and things == 0


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    (number,) = connection.execute(f"PRAGMA {pragma}").fetchone()
    return int(number)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself rolls back where the disk is full
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system say about a file into ``CacheError``."""
    try:
        yield
    except (OSError, sqlite3.OperationalError, sqlite3.ProgrammingError) as error:  # the last where it is closed
        reason = getattr(error, "strerror", None) or error
        raise CacheError(
            f"answer cache {path} cannot be used ({reason})",
            hint="mend that, or give another file; the same command goes on from what is done",
        ) from error
    except sqlite3.DatabaseError as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, reason: str) -> CacheError:
    return CacheError(f"{path} is no answer cache, or a damaged one ({reason})", hint="give another file, or delete it")
