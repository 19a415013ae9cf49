"""Measures: functions from records to figures with intervals."""
