"""Measures: functions from counts and records to figures with intervals."""

from vlmkit.measures.bootstrap import Sums, bootstrap, cluster_sums, clustered
from vlmkit.measures.calibration import Bin, Calibration, RiskCoverage, Threshold, calibration
from vlmkit.measures.confidence import confidence
from vlmkit.measures.interval import Interval, wilson
from vlmkit.measures.paired import Paired, examples_needed, holm, paired, sign_flip_p

__all__ = [
    "Bin",
    "Calibration",
    "Interval",
    "Paired",
    "RiskCoverage",
    "Sums",
    "Threshold",
    "bootstrap",
    "calibration",
    "cluster_sums",
    "clustered",
    "confidence",
    "examples_needed",
    "holm",
    "paired",
    "sign_flip_p",
    "wilson",
]
