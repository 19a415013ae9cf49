"""A table with one row for each example, as CSV or Parquet."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any

from vlmkit.errors import UserError
from vlmkit.report.subject import Outcome, Subject
from vlmkit.runs import Record

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = {
    "run": "string",
    "id": "string",
    "target": "string",
    "label": "string",
    "outcome": "string",
    "correct": "bool",
    "score": "float64",
    "rank": "int64",
    "queries": "int64",
    "tokens": "int64",
    "seconds": "float64",
    "cost": "float64",
    "text": "string",
    "error_type": "string",
    "error": "string",
}
"""The columns, each with its type in Arrow's words."""

CSV_MARK = ",".join(COLUMNS)
"""First line of the CSV."""

_ORIGIN = {b"generator": b"vlmkit report"}


def as_csv(subjects: Sequence[Subject]) -> str:
    """Return the table as CSV; what is not known is empty."""
    text = StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rows(subjects))
    return text.getvalue()


def as_parquet(subjects: Sequence[Subject]) -> bytes:
    """Return the table as a Parquet file; what is not known is null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in COLUMNS.items()], metadata=_ORIGIN)
    # Arrow's strings are UTF-8; a file name that is not is written with escapes, as in the other formats.
    rows = [{name: _utf8(value) for name, value in row.items()} for row in _rows(subjects)]
    written = BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), written)
    return written.getvalue()


def is_own_parquet(path: Path) -> bool:
    """Return whether ``as_parquet`` wrote a file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
    except (pa.ArrowInvalid, OSError):
        return False
    return all(metadata.get(name) == value for name, value in _ORIGIN.items())


def check_parquet() -> None:
    """Make sure that Parquet can be written.

    Raises:
        UserError: pyarrow is missing.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError("Parquet needs the package pyarrow", hint="run: pip install 'vlmkit[parquet]'") from error


def _rows(subjects: Sequence[Subject]) -> Iterator[dict[str, Any]]:
    return (_row(subject.name, record) for subject in subjects for record in subject.records)


def _row(run: str, record: Record) -> dict[str, Any]:
    ranked = [name for name, _ in record.ranking]
    return {
        "run": run,
        "id": record.id,
        "target": record.target,
        "label": record.label,
        "outcome": Outcome.of(record).value,
        "correct": record.correct,
        "score": dict(record.ranking).get(record.label) if record.label is not None else None,
        "rank": ranked.index(record.target) + 1 if record.target in ranked else None,
        "queries": record.usage.queries,
        "tokens": record.usage.tokens.total,
        "seconds": record.usage.seconds,
        "cost": record.usage.cost,
        "text": record.text,
        "error_type": None if record.error is None else record.error.type,
        "error": None if record.error is None else record.error.message,
    }


def _utf8(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
