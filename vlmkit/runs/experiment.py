"""What a run is about, before it has a directory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from attrs import field, frozen

from vlmkit.contracts import Dataset
from vlmkit.engine import LocalEngine, RunEngine
from vlmkit.engine.pipeline import Pipeline
from vlmkit.redaction import redacted_values
from vlmkit.registry import PluginHost
from vlmkit.runs.fingerprint import fingerprint
from vlmkit.runs.manifest import manifest
from vlmkit.runs.record import Record
from vlmkit.runs.survey import Survey
from vlmkit.types import LabelSpace, Taxonomy

Watch = Callable[[int, Iterable[Record]], AbstractContextManager[Callable[[Record], None]]]
"""From the number of examples and the records of earlier goes to what is told of each new one."""


def _unwatched(total: int, before: Iterable[Record]) -> AbstractContextManager[Callable[[Record], None]]:
    return nullcontext(lambda record: None)


@frozen
class Experiment:
    """One strategy on one model over one data set.

    Args:
        pipeline: The strategy on its model; keeps exchanges if samples are wanted.
        dataset: The examples.
        data: What the examples are, for the fingerprint: mostly the spec of the data set.
        labels: What may be answered.
        survey: What the examples to solve are: all of the data set or, under a limit, its first ones.
        config: The merged options, for the manifest, the results and observers; kept without secrets.
        plugins: Whose ``vlmkit_run_started``, ``vlmkit_prediction`` and ``vlmkit_run_finished`` observe the run.
        taxonomy: The tree that the labels are leaves of, or None.
        given: The same, if it is no part of the data.
        limit: The limit, or None.
        allowed: From the number of examples to how many of them may fail.
        abstain_below: Confidence below which a prediction counts as abstained from. No label is lost, and the same run
            may be summed up again with another.
        say: Told what is found on opening a directory.
        warn: Told, once a plugin, that its observer raised.
        watch: Shows the progress.
        resumed: What is said behind the number of examples that were done before.
        engine: What the examples are solved with.
    """

    pipeline: Pipeline
    dataset: Dataset
    data: str
    labels: LabelSpace
    survey: Survey
    config: Mapping[str, Any] = field(converter=redacted_values)
    plugins: PluginHost
    taxonomy: Taxonomy | None = None
    given: Taxonomy | None = None
    limit: int | None = None
    allowed: Callable[[int], float] = lambda total: total / 100
    abstain_below: float = 0.0
    say: Callable[[str], None] = print
    warn: Callable[[str], None] = print
    watch: Watch = _unwatched
    resumed: str = "examples are done"
    engine: RunEngine = field(factory=LocalEngine)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What its results depend on."""
        pipeline = self.pipeline
        return fingerprint(
            backend=pipeline.backend,
            strategy=pipeline.strategy,
            data=self.data,
            labels=self.labels,
            prompt=pipeline.prompt,
            seed=pipeline.seed,
            taxonomy=self.given,
        )

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest of a run that starts now."""
        return manifest(
            fingerprint=self.fingerprint,
            config=self.config,
            backend=self.pipeline.backend,
            labels=self.labels,
            plugins=self.plugins,
            seed=self.pipeline.seed,
            taxonomy=self.taxonomy,
        )
