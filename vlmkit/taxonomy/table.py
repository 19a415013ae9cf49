"""CSV of paths: the header names the ranks, a row is the way down to a leaf and may be shorter than the header."""

from __future__ import annotations

import csv
import io
import pathlib
import re
from collections.abc import Sequence

from vlmkit.data.text import TextFile
from vlmkit.errors import TaxonomyError
from vlmkit.taxonomy.leaves import Leaf, root_to_write, uprooted
from vlmkit.types import Taxonomy

_NO_RANK = re.compile(r"root|level \d+")


def read(path: pathlib.Path) -> Taxonomy:
    """Read a file; a first cell that all rows share is the root. A header of "level 1", "level 2" names no ranks.

    Raises:
        TaxonomyError: The file cannot be read, a row leaves a cell out on its way, or the rows form no tree.
    """
    file = TextFile(path, "taxonomy file", TaxonomyError)
    rows = file.cells()
    _, header = next(rows)
    if "parent" in (name.lower() for name in header):
        raise file.wrong("it has a column of parents", at="line 1", hint="read it as parents:path=FILE")
    leaves = []
    for line, row in rows:
        filled = [index for index, cell in enumerate(row) if cell]
        if not filled:
            continue
        names = row[: filled[-1] + 1]
        if not all(names):
            missing = header[names.index("")]
            raise file.wrong(
                f"the cell under {missing!r} is empty, and others after it are not",
                at=f"line {line}",
                hint="fill it in, or end the row before it",
            )
        leaves.append(Leaf(tuple(names), f"line {line}"))
    depth = max((len(leaf.path) for leaf in leaves), default=0)
    return uprooted(file, leaves, ranks=_ranks(file, header[:depth]))


def text(taxonomy: Taxonomy) -> str:
    """Return the file's text.

    Raises:
        TaxonomyError: A name begins or ends with a blank, which readers of CSV trim.
    """
    root = root_to_write(taxonomy)
    above = [root] if root else []
    ranks = taxonomy.ranks or [f"level {depth}" for depth in range(1, taxonomy.depth + 1)]
    for name in (*ranks, *above, *(name for path in taxonomy.paths for name in path)):
        if name != name.strip():
            raise TaxonomyError(f"{name!r} begins or ends with a blank, which CSV loses", hint="write .json instead")
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(
        [["root"] * len(above) + list(ranks), *([*above, *path] for path in taxonomy.paths)]
    )
    return out.getvalue()


def _ranks(file: TextFile, header: Sequence[str]) -> Sequence[str]:
    if not all(header):
        raise file.wrong("a column has no name", at="line 1", hint="name the rank of every level")
    return () if all(map(_NO_RANK.fullmatch, header)) else header
