"""Measures: functions from counts and records to figures with intervals."""

from vlmkit.measures.interval import Interval, wilson

__all__ = ["Interval", "wilson"]
