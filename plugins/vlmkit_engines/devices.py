"""The devices of this machine, with a process each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from attrs import field, frozen
from attrs.validators import ge, optional

from vlmkit import Example, LabelSpace, Pipeline, Taxonomy
from vlmkit.engine import Reading, Solved
from vlmkit.errors import SpecError
from vlmkit_engines.backlog import Backlog
from vlmkit_engines.crew import Crew


def device_names(devices: str | Iterable[str]) -> tuple[str, ...]:
    """Return the names of devices, also of a list with commas in one text; a number is that of a CUDA device.

    Raises:
        SpecError: There is none, or they are of several kinds.
    """
    texts = devices.split(",") if isinstance(devices, str) else devices
    names = tuple(f"cuda:{name}" if name.isdecimal() else name for name in map(str.strip, texts) if name)
    kinds = {name.partition(":")[0] for name in names}
    if not names:
        raise SpecError("no device is named", hint="write --devices 0,1 or --devices cpu,cpu")
    if len(kinds) > 1:
        raise SpecError(
            f"devices of several kinds ({', '.join(sorted(kinds))}) do not give the same results",
            hint="name devices of one kind",
        )
    return names


@frozen
class DevicesEngine:
    """Solves examples on several devices of this machine, by one process each with a model of its own.

    A process gets the next examples once it has done those before. One that dies is replaced, and its examples are
    asked again, each alone; an example that takes several processes with it fails.

    Args:
        devices: Them: ``0`` or ``cuda:0``, ``cpu``; one that is named twice has two processes.
        batch: Most examples that a process gets at once.
        threads: Threads that each computes with on the CPU; by default the machine's cores shared out, or
            ``OMP_NUM_THREADS`` if that is less.
        replacements: How often a process is replaced before its device is left out.
    """

    devices: tuple[str, ...] = field(converter=device_names)
    batch: int = field(default=32, validator=ge(1))
    threads: int | None = field(default=None, validator=optional(ge(1)))
    replacements: int = field(default=5, validator=ge(0))

    def solve(
        self,
        pipeline: Pipeline,
        examples: Iterable[Example],
        labels: LabelSpace,
        *,
        taxonomy: Taxonomy | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Solved]:
        """Yield what became of every example, each once; on a stop, of those that a process has.

        Raises:
            UserError: A process found the request as a whole wrong, or none is left.
        """
        jobs = [(pipeline.on(device), labels, taxonomy, self._threads) for device in self.devices]
        reading = Reading(iter(examples))
        backlog = Backlog(reading, len(jobs), self.batch)
        with closing(Crew(self.devices, jobs, backlog, self.replacements, stop)) as crew:
            yield from crew.solved()
        if not stop():
            reading.check()

    @property
    def _threads(self) -> int:
        if self.threads is not None:
            return self.threads
        import torch  # only now: a list of engines stays quick

        return min(torch.get_num_threads(), max(1, (os.cpu_count() or 1) // len(self.devices)))
