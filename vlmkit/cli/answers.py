"""What may be answered: the labels, and the taxonomy over them."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from vlmkit.contracts import Dataset, OffersTaxonomy
from vlmkit.data.labels import read_labels
from vlmkit.errors import TaxonomyError
from vlmkit.registry import Builder
from vlmkit.types import LabelSpace, Taxonomy


@frozen
class Answers:
    """What may be answered.

    Args:
        labels: The labels.
        taxonomy: The tree that they are leaves of, or None.
        given: The same, if the user gave it; None if the data set offers it.
    """

    labels: LabelSpace
    taxonomy: Taxonomy | None = None
    given: Taxonomy | None = None

    @classmethod
    def of(cls, dataset: Dataset, labels: Path | None, taxonomy: str | None, builder: Builder) -> Answers:
        """Return the answers that a data set, ``--labels`` and ``--taxonomy`` leave.

        Args:
            dataset: Offers labels and perhaps a taxonomy.
            labels: A label file, which comes first.
            taxonomy: Path or spec of a taxonomy, whose leaves come next.
            builder: Reads the taxonomy.

        Raises:
            UserError: A file cannot be read, or a label is no leaf of the taxonomy that was given.
        """
        named = None if labels is None else read_labels(labels)
        if taxonomy is not None:
            given = builder.taxonomy(taxonomy)
            space = given.labels if named is None else named
            given.leaves_of(space)
            return cls(space, given, given)
        offered = dataset.taxonomy if isinstance(dataset, OffersTaxonomy) else None
        if named is None:
            return cls(dataset.labels, offered)
        return cls(named, offered if offered is not None and _fits(offered, named) else None)


def _fits(taxonomy: Taxonomy, labels: LabelSpace) -> bool:
    try:
        taxonomy.leaves_of(labels)
    except TaxonomyError:
        return False
    return True
