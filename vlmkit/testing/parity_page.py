"""Results of parity as tables, and what they were measured on."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from datetime import date

import torch
from attrs import frozen

from vlmkit.local.checkpoint import Checkpoint
from vlmkit.markdown import markdown_table
from vlmkit.runs.manifest import versions
from vlmkit.testing.parity import Parity


@frozen
class Table:
    """Models against situations, for one readout.

    Args:
        readout: The readout.
        header: "model" and the names of the situations.
        rows: One row a model.
    """

    readout: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def markdown(self) -> str:
        """The table in Markdown."""
        return markdown_table(self.header, self.rows)


def tables(found: Sequence[Parity]) -> Iterator[Table]:
    """Return one table for each readout."""
    cells = {(one.readout, one.model, one.situation): _cell(one) for one in found}
    readouts, models, situations = (tuple(dict.fromkeys(names)) for names in zip(*cells, strict=True))
    for readout in readouts:
        rows = ((model, *(cells[readout, model, situation] for situation in situations)) for model in models)
        yield Table(readout, ("model", *situations), tuple(rows))


def lines(found: Sequence[Parity]) -> Iterator[tuple[str, ...]]:
    """Return model, situation and one cell for each readout, for narrow places."""
    for model, situation in dict.fromkeys((one.model, one.situation) for one in found):
        cells = (_cell(one) for one in found if (one.model, one.situation) == (model, situation))
        yield model, situation, *cells


def summary(found: Sequence[Parity], dtype: str, tolerance: float) -> str:
    """Say in one sentence how many scores were compared and whether all are fine."""
    count, worst = sum(one.options for one in found), max(found, key=lambda one: one.difference)
    verdict = "all within" if all(one.within for one in found) else "NOT ALL within"
    return (
        f"{count:,} scores in {dtype}, {verdict} {tolerance:g} nats; "
        f"the largest difference is {worst.difference:.1e} ({worst.model})."
    )


def setting(device: str | None) -> str:
    """Say when, on what and with which versions something is measured."""
    chosen = Checkpoint("", device).torch_device
    machine = platform.processor() or platform.machine()
    threads = f"{machine}, threads: {torch.get_num_threads()}"
    on = f"{torch.cuda.get_device_name(chosen)}, {threads}" if chosen.type == "cuda" else threads
    return f"{date.today()}, {on}; {', '.join(f'{name} {version}' for name, version in versions().items())}"


def _cell(one: Parity) -> str:
    if not one.queries:
        return "-"
    return f"{one.difference:.1e} ({one.same_choice}/{one.queries}){'' if one.within else ' OFF'}"
