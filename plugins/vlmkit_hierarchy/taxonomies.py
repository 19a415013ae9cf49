"""The option ``--taxonomy``, and which taxonomy a data set goes with."""

from __future__ import annotations

from pathlib import Path

import click

from vlmkit import Dataset, OffersTaxonomy, Taxonomy
from vlmkit.errors import DataError

TAXONOMY = click.option(
    "--taxonomy",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The tree over the labels (docs/data.md).  [default: the data set's own]",
)


def taxonomy_of(dataset: Dataset, path: Path | None) -> Taxonomy:
    """Return the taxonomy of a file or, without one, that of the data set.

    Raises:
        DataError: There is neither.
        TaxonomyError: The file cannot be read, or is no tree.
    """
    if path is not None:
        raise NotImplementedError
    if not isinstance(dataset, OffersTaxonomy):
        raise DataError("the data set comes without a taxonomy", hint="give --taxonomy FILE")
    return dataset.taxonomy
