"""Nested folders: every visible folder is a node, one without folders in it a leaf."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

from vlmkit.data.text import TextFile
from vlmkit.errors import TaxonomyError
from vlmkit.taxonomy.leaves import Leaf, grown
from vlmkit.types import Taxonomy
from vlmkit.types.taxonomy import ROOT, Path


def read(path: pathlib.Path) -> Taxonomy:
    """Read the folders below a folder, which is the root, in sorted order.

    Raises:
        TaxonomyError: A folder cannot be read, links back to one that it lies in, or there is none.
    """
    file = TextFile(path, "taxonomy folder", TaxonomyError)
    leaves = [Leaf(place, f"folder {'/'.join(place)}") for place in _leaves(file, path, ROOT, ())]
    return grown(file, [leaf for leaf in leaves if leaf.path], root=path.resolve().name)


def _leaves(file: TextFile, folder: pathlib.Path, place: Path, above: tuple[pathlib.Path, ...]) -> Iterator[Path]:
    at = f"folder {'/'.join(place)}" if place else ""
    here = folder.resolve()
    if here in above:
        raise file.wrong("it links back to a folder that it lies in", at=at, hint="remove the link")
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise file.wrong(f"it cannot be read ({reason})", at=at, hint="check the path") from error
    if not names:
        yield place
    for name in names:
        yield from _leaves(file, folder / name, (*place, name), (*above, here))
