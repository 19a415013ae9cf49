"""A question bank put to a model: a run like any other, which the same command continues."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from hashlib import file_digest
from itertools import islice
from pathlib import Path
from typing import Any

from attrs import frozen

from vlmkit import Pipeline
from vlmkit.registry import PluginHost
from vlmkit.runs import Record, Run, RunDirectory, Survey, default_directory, fingerprint
from vlmkit.runs.manifest import manifest
from vlmkit_hierarchy.asked import NO_LABELS, AskedImages

Watch = Callable[[int, Iterable[Record]], AbstractContextManager[Callable[[Record], None]]]
"""From the number of images and the records of earlier goes to what is told of each new one."""


@frozen
class ModelRun:
    """What is asked of which model.

    Args:
        dataset: The images and their questions.
        pipeline: ``AskSheet`` on a model; keeps exchanges, so that every reply is on disk.
        plugins: Whose hooks observe the run.
        config: The merged options, for the manifest.
        limit: Only the first images, or None.
        allowed: From the number of images to how many may fail.
        judge: From the run's directory to what the results say instead of the accuracy of labels.
    """

    dataset: AskedImages
    pipeline: Pipeline
    plugins: PluginHost
    config: Mapping[str, Any]
    limit: int | None
    allowed: Callable[[int], float]
    judge: Callable[[Path], Mapping[str, Any]]

    def execute(
        self, output: Path | None, *, fresh: bool, say: Callable[[str], None], warn: Callable[[str], None], watch: Watch
    ) -> dict[str, Any]:
        """Ask what is not answered yet; return the results of the run so far, which names its directory.

        Raises:
            RunDirectoryError: The directory cannot be used.
            UserError: The run cannot go on; what is done stays on disk.
        """
        pipeline, path = self.pipeline, self.dataset.bank.path
        with path.open("rb") as file:
            data = f"questions:{file_digest(file, 'sha256').hexdigest()}"
        identity = fingerprint(
            backend=pipeline.backend,
            strategy=pipeline.strategy,
            data=data,
            labels=NO_LABELS,
            prompt=pipeline.prompt,
            seed=pipeline.seed,
        )
        output = output or default_directory(identity, f"hierarchy-{path.stem}", fresh=fresh)
        start = manifest(
            fingerprint=identity,
            config=self.config,
            backend=pipeline.backend,
            labels=NO_LABELS,
            plugins=self.plugins,
            seed=pipeline.seed,
        )
        ids = tuple(example.id for example in islice(self.dataset, self.limit))
        with RunDirectory.open(output, start, fresh=fresh) as files:
            if files.continued:
                say(f"continuing {output}: {len(files.done):,} images are done (--fresh starts a new run)")
            for found in files.notes:
                say(found)
            run = Run(
                pipeline=pipeline,
                dataset=self.dataset,
                labels=NO_LABELS,
                survey=Survey(ids, judged=True),
                files=files,
                config=self.config,
                plugins=self.plugins,
                limit=self.limit,
                allowed=self.allowed,
                warn=warn,
            )
            with watch(len(ids), files.records()) as progress:
                results = run.execute(progress)
            results |= self.judge(output)
            files.write_results(results)
        return results
