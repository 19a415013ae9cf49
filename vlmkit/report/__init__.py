"""Runs as something to read: one HTML page, Markdown, or a table of examples.

run directories -> ``subject`` (read once) -> ``figures``, ``rounds``, ``confusions``, ``curves``
-> ``page`` with ``page_data``, ``pictures`` and ``brackets``; ``markdown``; ``table``
-> ``output``
"""

from vlmkit.report.formats import FORMATS, Format, Report, format_of
from vlmkit.report.output import Output
from vlmkit.report.pictures import Thumbnails
from vlmkit.report.subject import Subject, read_subjects

__all__ = ["FORMATS", "Format", "Output", "Report", "Subject", "Thumbnails", "format_of", "read_subjects"]
