"""The runs of a benchmark: one for each strategy, number of labels and seed, which the same command continues."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from vlmkit.bench.collapse.images import Sample
from vlmkit.bench.collapse.subsets import Kind, Narrowed, Subsets
from vlmkit.cache import AnswerStore
from vlmkit.contracts import Backend, Remembers, Strategy
from vlmkit.engine import check_capabilities
from vlmkit.engine.pipeline import Pipeline
from vlmkit.prompts import Prompt
from vlmkit.registry import PluginHost
from vlmkit.runs import Experiment, Record, Run, StoredRun, Survey, Watch
from vlmkit.runs.directory import check_same
from vlmkit.runs.stored import read_manifest
from vlmkit.types import Taxonomy


@frozen
class Cell:
    """One run.

    Args:
        strategy: The strategy's spec.
        labels: Labels that every image has to choose from.
        seed: Draws images and subsets, and is the seed of the run.
    """

    strategy: str
    labels: int
    seed: int

    @property
    def path(self) -> Path:
        """Its directory below that of the benchmark."""
        name = re.sub(r"[^\w.=+-]+", "-", self.strategy)
        return Path(name, f"{self.labels}-labels", f"seed-{self.seed}")

    def __str__(self) -> str:
        return f"{self.strategy}, {self.labels:,} labels, seed {self.seed}"


@frozen
class Cells:
    """All runs of a benchmark.

    Args:
        backend: The model; stays its owner's to close.
        strategies: The strategies by their specs.
        labels: Numbers of labels.
        samples: The images of each seed.
        kind: How subsets of one image hang together.
        data: Spec of the data set.
        taxonomy: The tree that the labels are leaves of, or None.
        prompt: The words of the questions.
        in_flight: Most images worked on at once.
        cache: The answer cache, if there is one; stays its opener's to close.
        output: Where the run directories are written.
        plugins: Whose hooks observe the runs.
        config: The merged options, for the manifests.
        allowed: From the number of images of a run to how many of them may fail.
        say: Told what goes on.
        warn: Told that a plugin's observer raised.
        watch: Shows the progress of a run.
    """

    backend: Backend
    strategies: Mapping[str, Strategy]
    labels: Sequence[int]
    samples: Mapping[int, Sample]
    kind: Kind
    data: str
    taxonomy: Taxonomy | None
    prompt: Prompt
    in_flight: int
    cache: AnswerStore | None
    output: Path
    plugins: PluginHost
    config: Mapping[str, Any]
    allowed: Callable[[int], float]
    say: Callable[[str], None]
    warn: Callable[[str], None]
    watch: Watch

    @property
    def cells(self) -> list[Cell]:
        """The cells, in the order in which they run."""
        return [
            Cell(strategy, labels, seed)
            for seed in self.samples
            for labels in self.labels
            for strategy in self.strategies
        ]

    def execute(self) -> Iterator[dict[str, Any]]:
        """Run every cell that is not finished; yield its results.

        All that a local model remembers of images is forgotten between cells: each pays for all that it needs.

        Raises:
            RunDirectoryError: A directory holds something else; this is found before anything runs.
            CapabilityError: The model lacks what a strategy needs; so is this.
            UserError: A run cannot go on; what is done stays on disk.
        """
        for strategy in self.strategies.values():  # by its own name, which its subsets would hide
            check_capabilities(strategy, self.backend)
        waiting = [cell for cell in self.cells if not self._is_finished(cell)]
        if not waiting:
            return
        self._warm_up(waiting[0])
        for number, cell in enumerate(waiting, start=1):
            if isinstance(self.backend, Remembers):
                self.backend.forget()
            with Run.open(self._experiment(cell), self.output / cell.path) as run:
                results = run.execute()
            share = results["metrics"]["accuracy"]
            accuracy = "" if share is None else f": accuracy {share['value']:.1%}"
            self.say(f"[{number}/{len(waiting)}] {cell}{accuracy}")
            yield results

    def records(self, strategy: str, labels: int) -> dict[int, list[Record]]:
        """Return the records of each seed, in the order of its images.

        Raises:
            RunDirectoryError: One cannot be read.
        """
        found = {}
        for seed, sample in self.samples.items():
            stored = StoredRun.read(self.output / Cell(strategy, labels, seed).path)
            by_id = {record.id: record for record in stored.records()}
            found[seed] = [by_id[image] for image in sample.ids if image in by_id]
        return found

    def _is_finished(self, cell: Cell) -> bool:
        """Whether nothing is left to do.

        Raises:
            RunDirectoryError: The directory holds another run.
        """
        path, experiment = self.output / cell.path, self._experiment(cell)
        if read_manifest(path) is None:
            return False
        stored = StoredRun.read(path)
        check_same(path, stored.manifest, experiment.fingerprint)
        done = {record.id for record in stored.records() if record.error is None}
        return stored.status == "success" and done.issuperset(experiment.survey.ids)

    def _experiment(self, cell: Cell) -> Experiment:
        sample = self.samples[cell.seed]
        return Experiment(
            pipeline=Pipeline(
                self.backend,
                Narrowed(self.strategies[cell.strategy], Subsets(cell.labels, cell.seed, self.kind), sample.target_of),
                seed=cell.seed,
                prompt=self.prompt,
                in_flight=self.in_flight,
                cache=self.cache,
                plugins=self.plugins,
            ),
            dataset=sample,
            data=self.data,
            labels=sample.labels,
            survey=Survey(sample.ids, judged=True),
            config={**self.config, "strategy": cell.strategy, "labels": cell.labels, "seed": cell.seed},
            plugins=self.plugins,
            taxonomy=self.taxonomy,
            allowed=self.allowed,
            say=self.say,
            warn=self.warn,
            watch=self.watch,
            resumed="images are done",
        )

    def _warm_up(self, cell: Cell) -> None:
        """Answer about one image: what loading and a first forward take is not the first cell's to pay.

        No cache learns of it, so that the first cell asks, too.
        """
        sample, pipeline = self.samples[cell.seed], evolve(self, cache=None)._experiment(cell).pipeline
        list(pipeline.solve(sample.examples[:1], sample.labels, taxonomy=self.taxonomy))
