"""The three contracts that everything else is replaceable behind.

A strategy says what to ask; a backend says how to answer; an aggregator turns ballots into a ranking.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from vlmkit.prompts import Prompt
from vlmkit.types import (
    Answer,
    Ballot,
    Capability,
    Example,
    Image,
    LabelSpace,
    Prediction,
    Query,
    Ranking,
    Taxonomy,
)

Solving = Generator[Sequence[Query], Sequence[Any], Prediction]
"""A strategy at work on one task: yields queries, receives their answers in the same order, returns a prediction.

An answer is a ``Ballot`` to a ``Choose`` and a ``Text`` to a ``Generate``; that correspondence has no type, hence Any.
"""


@runtime_checkable
class Strategy(Protocol):
    """Says what to ask. Holds no model, does no I/O, knows no device.

    ``requires`` is checked against the backend before weights load.
    """

    @property
    def requires(self) -> frozenset[Capability]:
        """Capabilities that the strategy's queries need."""
        ...

    def solve(self, task: Any) -> Solving:
        """Solve one task, one round of queries at a time.

        Args:
            task: A ``Classify`` or an ``Ask``; a strategy that solves one kind alone says so in its annotation.
        """
        ...


@runtime_checkable
class Backend(Protocol):
    """Answers queries. Made cheaply; weights load at the first ``answer``."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the backend can do; known before weights load."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """What a manifest says of the model, JSON-ready: name, weights, dtype, device."""
        ...

    def answer(self, queries: Sequence[Query]) -> Sequence[Answer]:
        """Answer every query, in order; ``Failed`` stands for one that cannot be answered while others can.

        Raises:
            UserError: None can be answered; the run ends.
            VlmkitError: One of the queries cannot be answered; the engine then asks example by example.
        """
        ...

    def close(self) -> None:
        """Release the model."""
        ...


@runtime_checkable
class Concurrent(Protocol):
    """What a backend has that gains nothing from large calls and takes several at once, as that of a server.

    The calls come from several threads. The engine then asks for each example in a call of its own, and no example
    waits for the answers of another.
    """

    @property
    def concurrent_calls(self) -> int:
        """Most calls of ``answer`` at once."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """What a backend has that can get images ready before it is asked about them, while it answers about others."""

    def prepare(self, images: Sequence[Image]) -> None:
        """Get the images of one example ready, if there is room; called from several threads.

        It may do nothing, and raises nothing: what is wrong with an image shows when it is asked about.
        """
        ...


@runtime_checkable
class Reproducible(Protocol):
    """What a backend has that knows more of what its answers depend on than its identity and the query say.

    The answer cache asks it. A backend without it gives the same answer whenever identity and query are the same.
    """

    def depends_on(self, query: Query) -> Mapping[str, Any] | None:
        """Return what else the answer depends on, JSON-ready; None where it is left to chance.

        It must be known before weights load, and be the same after.
        """
        ...


@runtime_checkable
class ServesModels(Protocol):
    """What a backend has behind which several models may stand, as on a server; ``vlmkit doctor`` names them."""

    def models(self) -> Sequence[str]:
        """Return the models' names.

        Raises:
            VlmkitError: They cannot be found out.
        """
        ...


@runtime_checkable
class Remembers(Protocol):
    """What a backend has that keeps what it made of images, so that later questions about them cost less."""

    def forget(self) -> None:
        """Drop what was kept of images; answers stay the same."""
        ...


@runtime_checkable
class Calibrates(Protocol):
    """What a strategy has that measures the model on examples of its own, once, and then asks as another strategy."""

    def calibrate(
        self, backend: Backend, labels: LabelSpace, *, seed: int, prompt: Prompt, in_flight: int
    ) -> Mapping[str, Any]:
        """Measure the model and choose.

        Args:
            backend: The model.
            labels: What may be answered in the run to come.
            seed: The run's seed.
            prompt: The words of the questions.
            in_flight: Most examples worked on at once.

        Returns:
            A report, JSON-ready; under ``chosen`` the strategy's spec, under ``reason`` why, in one sentence.

        Raises:
            UserError: Nothing can be measured.
        """
        ...

    def settled(self, report: Mapping[str, Any]) -> Strategy:
        """Return the strategy that a report chose, be it of now or of an earlier go.

        Raises:
            SpecError: The report is none of this strategy.
        """
        ...


@runtime_checkable
class Reports(Protocol):
    """What a backend has that knows at the end what was done where, as one that asks several servers."""

    def report(self) -> Sequence[str]:
        """Return it for people to read, one line a place; nothing where there is nothing to say."""
        ...


class Aggregator(Protocol):
    """Turns ballots into a ranking; the ranking's labels are those that survive."""

    def __call__(self, ballots: Sequence[Ballot]) -> Ranking:
        """Aggregate ballots, given in the order of their groups."""
        ...


@runtime_checkable
class Dataset(Protocol):
    """Examples and the labels they are drawn from. Iterates lazily and may be iterated again."""

    @property
    def labels(self) -> LabelSpace:
        """The label space, in its natural order."""
        ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Example]: ...


@runtime_checkable
class Skims(Protocol):
    """What a data set has that can tell its examples without fetching their pictures, and so at less cost."""

    def skim(self) -> Iterator[Example]:
        """Iterate over the examples in order, with what they have of pictures left out."""
        ...


@runtime_checkable
class OffersTaxonomy(Protocol):
    """What a data set has whose labels may be leaves of a tree."""

    @property
    def taxonomy(self) -> Taxonomy | None:
        """The tree, whose leaves' labels are the data set's labels; None where its options give none."""
        ...
