"""One study: whose features are taken, and what becomes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from attrs import frozen

from vlmkit import Backend, Dataset, Example, LabelSpace, Taxonomy
from vlmkit.engine import check_capabilities
from vlmkit.errors import DataError
from vlmkit.prompts import default_prompt
from vlmkit.runs import fingerprint
from vlmkit.runs.convert import dumps
from vlmkit_hierarchy.probes.look import Look
from vlmkit_hierarchy.probes.outcome import probe
from vlmkit_hierarchy.probes.split import Split
from vlmkit_hierarchy.probes.store import Table
from vlmkit_hierarchy.probes.targets import Targets


@frozen
class Study:
    """What features are taken of.

    Args:
        data: What it is called: the data set's spec, and the sentence where it is about words.
        examples: Gives the examples, again at every call.
        labels: Their labels.
        taxonomy: The tree of the labels.
        strategy: Asks for the features.
    """

    data: str
    examples: Callable[[], Iterable[Example]]
    labels: LabelSpace
    taxonomy: Taxonomy
    strategy: Look

    @classmethod
    def of_images(
        cls, data: str, dataset: Dataset, taxonomy: Taxonomy, strategy: Look, limit: int | None = None
    ) -> Self:
        """Return the study of a data set's first images, those with a target."""

        def examples() -> Iterator[Example]:
            return (example for example in islice(dataset, limit) if example.target is not None)

        return cls(data, examples, dataset.labels, taxonomy, strategy)

    @classmethod
    def of_words(cls, data: str, sentence: str, taxonomy: Taxonomy, strategy: Look, limit: int | None = None) -> Self:
        """Return the study of a sentence with the label of each leaf, or of the first ones, for ``{leaf}``.

        Raises:
            DataError: There is no such place.
        """
        if "{leaf}" not in sentence:
            raise DataError(f"sentence {sentence!r} has no place for the name", hint="write {leaf} there")

        def examples() -> Iterator[Example]:
            for label in taxonomy.labels.names[:limit]:
                yield Example(label, (), target=label, question=sentence.replace("{leaf}", label))

        return cls(f"{data}, in words: {sentence}", examples, taxonomy.labels, taxonomy, strategy)

    def fingerprint(self, backend: Backend) -> dict[str, Any]:
        """Return all that the features depend on, as plain JSON values.

        Raises:
            CapabilityError: The backend has no features.
        """
        check_capabilities(self.strategy, backend)
        return fingerprint(
            backend=backend,
            strategy=self.strategy,
            data=self.data,
            labels=self.labels,
            prompt=default_prompt(),
            seed=0,  # nothing is left to chance
        )

    def results(self, table: Table, split: Split, *, shuffle: bool, device: str | None) -> dict[str, Any]:
        """Train and judge probes at every site, as plain JSON values.

        Args:
            table: The features.
            split: What is learnt from, chosen on and judged.
            shuffle: Whether the labels are dealt out anew first.
            device: Where the probes are trained; None takes CUDA where there is one.

        Raises:
            DataError: There are too few examples.
        """
        label_of = {example.id: example.target for example in self.examples()}
        labels = [label_of[subject.id] or "" for subject in table.subjects]
        if shuffle:
            labels = np.random.default_rng(split.seed).permutation(labels).tolist()
        targets = Targets.of(self.taxonomy, labels, above_leaves=self.strategy.over == "text")
        parts = split(targets.kinds)
        ranks = self.taxonomy.ranks or [f"level {depth}" for depth in range(1, self.taxonomy.depth + 1)]
        where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        rows = list(targets.rows)
        return {
            "kind": "probe",
            "data": self.data,
            "over": self.strategy.over,
            "pool": self.strategy.pool,
            "shuffled": shuffle,
            "seed": split.seed,
            "examples": len(table.subjects),
            "split": {part: len(chosen) for part, chosen in parts.items()},
            "levels": [{"depth": depth, "rank": rank} for depth, rank in enumerate(ranks, start=1)],
            "sites": {site: probe(table.features[site][rows], targets, parts, where) for site in self.strategy.at},
        }


def default_folder(identity: Mapping[str, Any]) -> Path:
    """Return where the features with this fingerprint are kept if nothing else is said."""
    return Path("runs", f"probe-{hashlib.sha256(dumps(identity)).hexdigest()[:12]}")
