"""The formats that taxonomies come in."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

from attrs import frozen

from vlmkit.errors import TaxonomyError
from vlmkit.taxonomy import folders, inaturalist, newick, parents, paths, table, wordnet
from vlmkit.types import Taxonomy


@frozen
class Format:
    """One way to write a taxonomy down.

    Args:
        read: Reads it; its parameters are the options of the format's spec.
        summary: One line.
        suffixes: Suffixes of files that are read so unless told otherwise.
        text: Makes the text of a file, where the format is written too.
    """

    read: Callable[..., Taxonomy]
    summary: str
    suffixes: tuple[str, ...] = ()
    text: Callable[[Taxonomy], str] | None = None


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "paths": Format(paths.read, "JSON from each leaf to its path from the root down", (".json",), paths.text),
        "table": Format(table.read, "CSV with a row of names for each leaf, under the ranks", (".csv",), table.text),
        "parents": Format(parents.read, "CSV with the columns id, parent and name"),
        "newick": Format(newick.read, "Newick tree", (".nwk", ".newick", ".tree", ".tre"), newick.text),
        "inaturalist": Format(inaturalist.read, "Categories of an iNaturalist data set, in its JSON"),
        "wordnet": Format(wordnet.read, "Synsets of an installed WordNet"),
        "folders": Format(folders.read, "Nested folders"),
    }
)
"""The formats by the names used in specs."""


def format_of(path: pathlib.Path) -> str:
    """Return the name of the format that a path is read as: by its suffix, or as nested folders.

    Raises:
        TaxonomyError: The suffix says nothing.
    """
    if path.is_dir():
        return "folders"
    for name, known in FORMATS.items():
        if path.suffix.lower() in known.suffixes:
            return name
    suffixes = ", ".join(suffix for known in FORMATS.values() for suffix in known.suffixes)
    raise TaxonomyError(
        f"taxonomy file {path}: its suffix does not say what it holds",
        hint=f"name it {suffixes}, or write FORMAT:path=...",
    )


def read_taxonomy(path: pathlib.Path) -> Taxonomy:
    """Read a taxonomy in the format that its suffix names.

    Raises:
        TaxonomyError: The file cannot be read, or holds no tree.
    """
    return FORMATS[format_of(path)].read(path)


def write_taxonomy(taxonomy: Taxonomy, path: pathlib.Path) -> None:
    """Write a taxonomy in the format that the suffix names.

    Raises:
        TaxonomyError: The format is not one of those written, cannot hold this taxonomy, or the disk refuses.
    """
    text = FORMATS[format_of(path)].text
    if text is None:
        raise TaxonomyError(f"{path} is a folder", hint="name a .json, .csv or .nwk file")
    try:
        path.write_text(text(taxonomy), encoding="utf-8", newline="")
    except OSError as error:
        raise TaxonomyError(f"{path} cannot be written ({error.strerror})", hint="give another path") from error
