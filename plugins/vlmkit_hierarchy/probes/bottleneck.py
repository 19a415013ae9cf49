"""Where recognition along a taxonomy breaks: vision probes, text and the model itself, side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from vlmkit.data.text import TextFile
from vlmkit.errors import DataError, UnknownNameError
from vlmkit.runs.stored import RESULTS
from vlmkit.types.tuples import as_tuple
from vlmkit_hierarchy.probes.tables import HCA
from vlmkit_hierarchy.tables import interval

PROBE = "probe.json"
"""What a probe's results are called in its directory."""

Figure = Mapping[str, Any]
"""A proportion with its interval: ``value``, ``low``, ``high``, ``n``."""


@frozen
class Side:
    """One column of the report.

    Args:
        name: What it is.
        whole: HCA.
        levels: The accuracy of each level that is graded, by its depth.
    """

    name: str
    whole: Figure
    levels: Mapping[int, Figure]

    @classmethod
    def of(cls, name: str, found: Mapping[str, Any]) -> Side:
        """Return the side that figures make, as ``vlmkit hierarchy`` writes them."""
        return cls(name, found["hca"], {one["depth"]: one for one in found["level_accuracy"]})


@frozen
class Report:
    """Sides, with a row for each level that any of them has and one for whole paths.

    Args:
        sides: The columns.
        ranks: What the levels are called, by depth.
    """

    sides: tuple[Side, ...] = field(converter=as_tuple)
    ranks: Mapping[int, str]

    @property
    def rows(self) -> dict[str, list[Figure | None]]:
        """The figures of each row, one a side; None where a side was not judged."""
        depths = sorted({depth for side in self.sides for depth in side.levels})
        levels = {self._rank(depth): [side.levels.get(depth) for side in self.sides] for depth in depths}
        return {**levels, HCA: [side.whole for side in self.sides]}

    @property
    def cells(self) -> list[list[str]]:
        """The rows as text."""
        return [[name, *map(interval, row)] for name, row in self.rows.items()]

    @property
    def columns(self) -> list[str]:
        """The heads of the columns."""
        return ["", *(side.name for side in self.sides)]

    def markdown(self) -> str:
        """Return the report as a table in Markdown."""
        lines = [self.columns, ["---", *["--:"] * len(self.sides)], *self.cells]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def json(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {"sides": [side.name for side in self.sides], "rows": self.rows}

    def _rank(self, depth: int) -> str:
        return self.ranks.get(depth, f"level {depth}")


def report(
    probes: Sequence[Path], *, text: Path | None, image: Path | None, sites: Sequence[str] | None = None
) -> Report:
    """Set results side by side: every site of the probes, then text, then images.

    Args:
        probes: Results of ``vlmkit hierarchy probe``, or their directories.
        text: Results of ``vlmkit hierarchy eval`` in text mode, or the run's directory.
        image: The same in image mode.
        sites: The probes' sites that are shown; None for all.

    Raises:
        DataError: A file cannot be read or holds no such results.
        UnknownNameError: No probe has one of the sites.
    """
    probed = [_probe(path) for path in probes]
    known = [site for results in probed for site in results["sites"]]
    for site in sites or ():
        if site not in known:
            raise UnknownNameError("site", site, known)
    ranks = {level["depth"]: level["rank"] for results in probed for level in results["levels"]}
    sides = [side for results in probed for side in _sides(results, sites or known)]
    answers = (("text", "text", text), ("model", "image", image))
    sides += [Side.of(name, _figures(path, mode)) for name, mode, path in answers if path is not None]
    return Report(sides, ranks)


def _probe(path: Path) -> dict[str, Any]:
    results = _read(path, PROBE)
    if results.get("kind") != "probe":
        raise DataError(f"{path} holds no probe", hint="give what vlmkit hierarchy probe wrote")
    return results


def _sides(results: Mapping[str, Any], sites: Sequence[str]) -> Iterator[Side]:
    what = "text probe" if results["over"] == "text" else "vision probe"
    control = "shuffled " if results["shuffled"] else ""
    for site, found in results["sites"].items():
        if site in sites:
            yield Side.of(f"{control}{what} {site}", found)


def _figures(path: Path, mode: str) -> Mapping[str, Any]:
    """Return the figures of an evaluation in that mode; answers that no model was asked for have none."""
    results = _read(path, RESULTS)
    asked = results.get("config", {}).get("mode", mode)
    if asked != mode:
        raise DataError(f"{path} is an evaluation in {asked} mode", hint=f"give one in {mode} mode")
    metrics = results.get("metrics")
    if not isinstance(metrics, dict) or not isinstance(metrics.get("hca"), dict):
        raise DataError(f"{path} holds no figures over paths", hint="give what vlmkit hierarchy eval wrote")
    return metrics


def _read(path: Path, name: str) -> dict[str, Any]:
    file = TextFile(path / name if path.is_dir() else path, "result file", DataError)
    try:
        results = json.loads(file.read())
    except ValueError as error:
        raise file.wrong(f"it is no JSON ({error})", hint="write it with --json") from None
    if not isinstance(results, dict):
        raise file.wrong("it holds no JSON object", hint="write it with --json")
    return results
