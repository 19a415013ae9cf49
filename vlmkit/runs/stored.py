"""A run directory as its readers see it: nobody is kept from writing it meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from attrs import field, frozen
from cattrs import BaseValidationError

from vlmkit.errors import RunDirectoryError
from vlmkit.runs.convert import from_json
from vlmkit.runs.files import JsonLines
from vlmkit.runs.record import Record
from vlmkit.taxonomy import paths
from vlmkit.types import Taxonomy

MANIFEST, PREDICTIONS, RESULTS, SAMPLES, TAXONOMY, CALIBRATION = (
    "manifest.json",
    "predictions.jsonl",
    "results.json",
    "samples.jsonl",
    "taxonomy.json",
    "calibration.json",
)


@frozen
class StoredRun:
    """What a run has written so far, finished or not.

    Args:
        path: The run directory.
        manifest: What was run, with what, on what machine.
        results: Its figures, as ``results.json`` holds them; None before it has ended once.
    """

    path: Path
    manifest: Mapping[str, Any] = field(repr=False)
    results: Mapping[str, Any] | None = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the manifest and the results.

        Raises:
            RunDirectoryError: The directory holds no run, or one of the two cannot be read.
        """
        manifest = read_manifest(path)
        if manifest is None:
            raise RunDirectoryError(f"{path} holds no run", hint="give a directory that vlmkit run wrote")
        if "fingerprint" not in manifest:
            raise RunDirectoryError(f"{path / MANIFEST} is no manifest of a run", hint="give another run directory")
        return cls(path, manifest, read_results(path))

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """What the results depend on."""
        fingerprint: Mapping[str, Any] = self.manifest["fingerprint"]
        return fingerprint

    @property
    def status(self) -> str:
        """How it ended, as its results say; ``unfinished`` before it has ended once."""
        return str((self.results or {}).get("status", "unfinished"))

    def records(self) -> Iterator[Record]:
        """Read the records, in the order in which they were written.

        Raises:
            RunDirectoryError: A line is no record.
        """
        return read_records(self.path)

    def samples(self) -> Iterator[dict[str, Any]]:
        """Read the lines of ``samples.jsonl``; there are none unless the run logged them.

        Raises:
            RunDirectoryError: A line is no JSON object.
        """
        return iter(JsonLines(self.path / SAMPLES))

    def taxonomy(self) -> Taxonomy | None:
        """Read the taxonomy of the labels, or return None where there is none.

        Raises:
            TaxonomyError: The file cannot be read.
        """
        path = self.path / TAXONOMY
        return paths.read(path) if path.exists() else None


def read_manifest(path: Path) -> dict[str, Any] | None:
    """Return the manifest of a run directory, or None where there is none.

    Raises:
        RunDirectoryError: It cannot be read.
    """
    return _read_object(path / MANIFEST)


def read_results(path: Path) -> dict[str, Any] | None:
    """Return the results of a run directory, or None where there are none yet.

    Raises:
        RunDirectoryError: They cannot be read.
    """
    return _read_object(path / RESULTS)


def read_calibration(path: Path) -> dict[str, Any] | None:
    """Return what a strategy measured before it chose, or None where none did.

    Raises:
        RunDirectoryError: It cannot be read.
    """
    return _read_object(path / CALIBRATION)


def read_records(path: Path) -> Iterator[Record]:
    """Read the records of a run directory, in the order in which they were written.

    Raises:
        RunDirectoryError: A line is no record.
    """
    predictions = JsonLines(path / PREDICTIONS)
    for number, line in enumerate(predictions, start=1):
        try:
            yield from_json(line, Record)
        except BaseValidationError:
            raise RunDirectoryError(
                f"{predictions.path} line {number} is no record of this version", hint="give another run directory"
            ) from None


def _read_object(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunDirectoryError(f"{path} cannot be read ({reason})", hint="give another run directory") from error
    if not isinstance(value, dict):
        raise RunDirectoryError(f"{path} holds no JSON object", hint="give another run directory")
    return value
