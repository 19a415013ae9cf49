"""A run: its directory, its records, its results, and how it resumes."""

from vlmkit.runs.calibration import calibrate
from vlmkit.runs.convert import from_json, to_json
from vlmkit.runs.directory import RunDirectory
from vlmkit.runs.experiment import Experiment, Watch
from vlmkit.runs.fingerprint import differences, fingerprint, label_digest, leaves, shown
from vlmkit.runs.location import default_directory
from vlmkit.runs.record import Record
from vlmkit.runs.rescore import Rescored
from vlmkit.runs.results import Tally, summary
from vlmkit.runs.run import Run
from vlmkit.runs.stored import StoredRun
from vlmkit.runs.survey import Survey, skimmed

__all__ = [
    "Experiment",
    "Record",
    "Rescored",
    "Run",
    "RunDirectory",
    "StoredRun",
    "Survey",
    "Tally",
    "Watch",
    "calibrate",
    "default_directory",
    "differences",
    "fingerprint",
    "from_json",
    "label_digest",
    "leaves",
    "shown",
    "skimmed",
    "summary",
    "to_json",
]
