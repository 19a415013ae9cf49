"""What a run solves its examples with: this process, or what a plugin brings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from attrs import frozen

from vlmkit.engine.job import Solved
from vlmkit.types import Example, LabelSpace, Taxonomy

if TYPE_CHECKING:
    from vlmkit.engine.pipeline import Pipeline


class RunEngine(Protocol):
    """Solves the examples of a run, wherever it likes.

    Plugins register factories of such with ``registry.engine``; their options are those of ``--engine NAME:key=value``.
    The run, in the process that calls, alone writes the run directory.
    """

    def solve(
        self,
        pipeline: Pipeline,
        examples: Iterable[Example],
        labels: LabelSpace,
        *,
        taxonomy: Taxonomy | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Solved]:
        """Yield what became of every example, each once, in any order, as soon as it is known.

        What an example gives must depend on neither its neighbours nor the worker; ``pipeline.solve`` keeps to that.

        Args:
            pipeline: The strategy on its model, not loaded. It pickles as what it was made from, so each worker makes
                its own; what workers solved travels back as ``vlmkit.engine.portable`` has it.
            examples: The examples; may be read lazily, and on another thread.
            labels: What may be answered.
            taxonomy: The tree that the labels are leaves of.
            stop: Whether no further example shall be begun; what is in flight is finished, or left to the next go.

        Raises:
            UserError: The request as a whole is wrong; examples that are done are yielded before.
        """
        ...


@runtime_checkable
class PlacesModels(Protocol):
    """What an engine has that says itself on which devices of this machine its models are."""

    @property
    def devices(self) -> Sequence[str]:
        """The devices, all of one kind."""
        ...


@frozen
class LocalEngine:
    """Solves examples in this process, in their order."""

    def solve(
        self,
        pipeline: Pipeline,
        examples: Iterable[Example],
        labels: LabelSpace,
        *,
        taxonomy: Taxonomy | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Solved]:
        """Solve every example with the pipeline at hand."""
        return pipeline.solve(examples, labels, taxonomy=taxonomy, stop=stop)
