"""Taxonomies in files: one module a format, each with ``read`` and, where the format is ours to write, ``text``."""

from vlmkit.taxonomy.formats import FORMATS, Format, format_of, read_taxonomy, write_taxonomy

__all__ = ["FORMATS", "Format", "format_of", "read_taxonomy", "write_taxonomy"]
