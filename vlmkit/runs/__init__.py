"""A run: its directory, its records, its results, and how it resumes."""

from vlmkit.runs.calibration import calibrate
from vlmkit.runs.convert import from_json, to_json
from vlmkit.runs.directory import RunDirectory
from vlmkit.runs.fingerprint import differences, fingerprint, label_digest
from vlmkit.runs.location import default_directory
from vlmkit.runs.record import Record
from vlmkit.runs.results import Tally, summary
from vlmkit.runs.run import Run
from vlmkit.runs.survey import Survey

__all__ = [
    "Record",
    "Run",
    "RunDirectory",
    "Survey",
    "Tally",
    "calibrate",
    "default_directory",
    "differences",
    "fingerprint",
    "from_json",
    "label_digest",
    "summary",
    "to_json",
]
