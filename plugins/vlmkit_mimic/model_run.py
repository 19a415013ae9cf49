"""A benchmark put to a model: a run like any other, which the same command continues."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from attrs import frozen

from vlmkit import Pipeline
from vlmkit.registry import Chain, PluginHost, Spec
from vlmkit.runs import Record, Run, RunDirectory, Survey, fingerprint
from vlmkit.runs.convert import dumps
from vlmkit.runs.manifest import manifest
from vlmkit_mimic.dataset import Mimic

Watch = Callable[[int, Iterable[Record]], AbstractContextManager[Callable[[Record], None]]]
"""From the number of items and the records of earlier goes to what is told of each new one."""


@frozen
class ModelRuns:
    """Puts the questions of a benchmark to models.

    Args:
        dataset: The questions.
        spec: The spec of the data set, as ``vlmkit run`` would take it.
        output: Where the run directories are written, one for each strategy and configuration.
        plugins: Whose hooks observe the runs.
        config: The merged options, for the manifests.
        limit: Only the first items, or None.
        allowed: From the number of items to how many may fail.
        say: Told what was found in a directory.
        warn: Told that a plugin's observer raised.
        watch: Shows the progress.
    """

    dataset: Mimic
    spec: Spec
    output: Path
    plugins: PluginHost
    config: Mapping[str, Any]
    limit: int | None
    allowed: Callable[[int], float]
    say: Callable[[str], None]
    warn: Callable[[str], None]
    watch: Watch

    def execute(self, pipeline: Pipeline, strategy: str) -> dict[str, Any]:
        """Ask what is not answered yet; return the results of the run so far, which name its directory.

        The directory's name ends in a digest of the configuration, so the same command finds it again and another
        one never does.

        Raises:
            RunDirectoryError: The directory cannot be used.
            UserError: The run cannot go on; what is done stays on disk.
        """
        labels = self.dataset.labels
        identity = fingerprint(
            backend=pipeline.backend,
            strategy=pipeline.strategy,
            data=str(self.spec),
            labels=labels,
            prompt=pipeline.prompt,
            seed=pipeline.seed,
        )
        items = self.dataset.benchmark.items[: self.limit]
        start = manifest(
            fingerprint=identity,
            config=self.config,
            backend=pipeline.backend,
            labels=labels,
            plugins=self.plugins,
            seed=pipeline.seed,
        )
        names = "-".join(part.name for part in Chain.parse(strategy).specs)
        content = dumps([identity, self.dataset.benchmark.header.digest])
        path = self.output / f"{names}-{hashlib.sha256(content).hexdigest()[:8]}"
        with RunDirectory.open(path, start) as files:
            if files.continued:
                self.say(f"{path}: {len(files.done):,} answers are there already")
            for found in files.notes:
                self.say(found)
            run = Run(
                pipeline=pipeline,
                dataset=self.dataset,
                labels=labels,
                survey=Survey(tuple(item.id for item in items), judged=False),
                files=files,
                config=self.config,
                plugins=self.plugins,
                limit=self.limit,
                allowed=self.allowed,
                warn=self.warn,
            )
            with self.watch(len(items), files.records()) as progress:
                return run.execute(progress)
