"""The option ``--taxonomy``, and which taxonomy a data set goes with."""

from __future__ import annotations

import click

from vlmkit import Dataset, OffersTaxonomy, Taxonomy
from vlmkit.errors import DataError
from vlmkit.registry import Builder

TAXONOMY = click.option(
    "--taxonomy",
    metavar="FILE|FORMAT:...",
    help="The tree over the labels, in any format that vlmkit run takes.  [default: the data set's own]",
)


def taxonomy_of(dataset: Dataset, given: str | None, builder: Builder) -> Taxonomy:
    """Return the taxonomy that was given or, without one, that of the data set.

    Raises:
        DataError: There is neither.
        TaxonomyError: The one given cannot be read, or is no tree.
    """
    if given is not None:
        return builder.taxonomy(given)
    offered = dataset.taxonomy if isinstance(dataset, OffersTaxonomy) else None
    if offered is None:
        raise DataError("the data set comes without a taxonomy", hint="give one: --taxonomy FILE")
    return offered
