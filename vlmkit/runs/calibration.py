"""Strategies that choose by measuring choose once a run, however often it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlmkit.engine.pipeline import Pipeline
from vlmkit.runs.directory import RunDirectory
from vlmkit.runs.stored import read_calibration
from vlmkit.types import LabelSpace


def calibrate(pipeline: Pipeline, labels: LabelSpace, files: RunDirectory) -> Mapping[str, Any] | None:
    """Let the strategy of a run choose, or recall what it chose in an earlier go; the report is then on disk.

    Returns:
        The report, or None where the strategy measures nothing.

    Raises:
        UserError: Nothing can be measured.
        RunDirectoryError: The report cannot be read or written.
    """
    earlier = read_calibration(files.path)
    report = pipeline.calibrate(labels, earlier)
    if report is not None and earlier is None:
        files.write_calibration(report)
    return report
