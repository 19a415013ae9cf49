"""Measures: functions from counts and records to figures with intervals."""

from vlmkit.measures.bootstrap import Sums, bootstrap, cluster_sums, clustered
from vlmkit.measures.interval import Interval, wilson

__all__ = ["Interval", "Sums", "bootstrap", "cluster_sums", "clustered", "wilson"]
