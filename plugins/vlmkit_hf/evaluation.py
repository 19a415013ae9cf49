"""What a run says of a model, in the terms of the Hub."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from attrs import frozen

from vlmkit.errors import RunDirectoryError, UserError
from vlmkit.registry import Spec
from vlmkit.runs import StoredRun

TASK = "image-classification"
"""The Hub's identifier of the task."""

METRICS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"accuracy": ("accuracy", "Accuracy"), "top5_accuracy": ("top_5_accuracy", "Top-5 accuracy")}
)
"""The exported metrics of a run: the Hub's identifier and the name that is shown."""

_TOP = 5
"""With so many labels at most, top-5 accuracy says nothing."""

_DIGITS = 6


@frozen
class Measured:
    """One metric of a run.

    Args:
        type: The Hub's identifier.
        name: What is shown, with the strategy and the number of labels, which tell runs of one model apart.
        value: A proportion.
        settings: What it was measured with and over, and its 95 % interval.
    """

    type: str
    name: str
    value: float
    settings: Mapping[str, Any]

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end of the 95 % interval."""
        low, high = self.settings["interval"]
        return low, high


@frozen
class Evaluation:
    """A model on a data set.

    Args:
        model: Hub id, or name of the directory.
        dataset: Hub id, or name of the file or folder.
        on_hub: Whether ``dataset`` is a Hub id.
        config: Configuration of the data set, or None.
        split: Its split, or None.
        revision: Its revision, or None.
        metrics: What was measured.
        date: When the run started, in ISO 8601.
        version: Version of vlmkit.
    """

    model: str
    dataset: str
    on_hub: bool
    config: str | None
    split: str | None
    revision: str | None
    metrics: tuple[Measured, ...]
    date: str
    version: str

    @classmethod
    def of(cls, run: StoredRun, *, model: str | None = None, dataset: str | None = None, partial: bool = False) -> Self:
        """Read it off a run.

        Args:
            run: The run.
            model: What to call the model instead of what the manifest says.
            dataset: Hub id of the data set where the run does not tell it.
            partial: Whether a run may be unfinished, have failed or have been limited.

        Raises:
            RunDirectoryError: It is unfinished, failed or limited, and may not be; or it is a point of bench collapse.
            UserError: It holds no accuracy.
        """
        results = _finished(run, partial=partial)
        if "subsets" in run.fingerprint["strategy"]:
            raise RunDirectoryError(
                f"run {run.path} asked over a few labels, the right one always among them", hint="export a run over all"
            )
        metrics = tuple(_measured(run, results))
        if not metrics:
            raise UserError(
                f"run {run.path} holds no accuracy: no target was known", hint="run it on data with targets"
            )
        spec = Spec.parse(run.fingerprint["data"])
        options = dict(spec.options)
        source = options.get("name") or options.get("path") or spec.name
        local = spec.name != "hf" or os.path.exists(os.path.expanduser(source))
        session = run.manifest["session"]
        return cls(
            model=model or run.manifest["model"]["model"],
            dataset=dataset or (Path(source).name if local else source),
            on_hub=dataset is not None or not local,
            config=options.get("config"),
            split=options.get("split"),
            revision=options.get("revision"),
            metrics=metrics,
            date=session["started"],
            version=session["versions"]["vlmkit"],
        )


def _finished(run: StoredRun, *, partial: bool) -> Mapping[str, Any]:
    again = "the same vlmkit run goes on from there"
    if run.results is None:
        raise RunDirectoryError(f"run {run.path} is unfinished", hint=again)
    status, limit = run.results["status"], run.results["limit"]
    if status != "success" and not partial:
        raise RunDirectoryError(f"run {run.path} ended as {status}", hint=f"{again}; --partial exports it as it is")
    if limit is not None and not partial:
        raise RunDirectoryError(
            f"run {run.path} was limited to {limit:,} examples", hint="run it without --limit, or give --partial"
        )
    return run.results


def _measured(run: StoredRun, results: Mapping[str, Any]) -> Iterator[Measured]:
    labels, limit = run.manifest["labels"]["number"], results["limit"]
    for key, (kind, name) in METRICS.items():
        found = results["metrics"].get(key)
        if found is not None and (key != "top5_accuracy" or labels > _TOP):
            strategy = results["config"]["strategy"]
            settings = {
                "strategy": strategy,
                "labels": labels,
                "examples": found["n"],
                "failed": results["n"]["failed"],
                "interval": [round(found["low"], _DIGITS), round(found["high"], _DIGITS)],
                "confidence": 0.95,
                "seed": run.manifest["seed"],
                **({} if limit is None else {"limit": limit}),
            }
            yield Measured(kind, f"{name} ({strategy}, {labels:,} labels)", round(found["value"], _DIGITS), settings)
