"""What the loader does and which hooks are called, line by line, for whoever looks for a plugin's fault."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint
from time import perf_counter
from typing import Any

import pluggy
from attrs import define, field


@define
class Trace:
    """Tells of plugins.

    Args:
        write: Takes one line, without its end.
    """

    write: Callable[[str], object] = field(default=lambda line: None)
    _started: float = field(default=0.0, init=False)

    def loading(self, point: EntryPoint, distribution: str) -> None:
        """Tell that an entry point is imported."""
        self.write(f"loading {point.name} = {point.value} ({distribution})")

    def left_out(self, point: EntryPoint) -> None:
        """Tell that an entry point is not imported, as asked for."""
        self.write(f"leaving out {point.name} = {point.value}")

    def broken(self, point: EntryPoint, error: BaseException) -> None:
        """Tell why an entry point fails, with the traceback that its one-line error leaves out."""
        self.write(f"{point.name} is broken")
        for line in "".join(traceback.format_exception(error)).splitlines():
            self.write(f"  {line}")

    def watch(self, manager: pluggy.PluginManager) -> None:
        """Tell of every hook call from now on: which plugin, which arguments it takes, how long, how it ended."""
        manager.add_hookcall_monitoring(self._before, self._after)

    def _before(self, hook: str, called: Sequence[pluggy.HookImpl], given: Mapping[str, Any]) -> None:
        self._started = perf_counter()

    def _after(
        self, outcome: pluggy.Result[Any], hook: str, called: Sequence[pluggy.HookImpl], given: Mapping[str, Any]
    ) -> None:
        end = "done" if outcome.exception is None else f"raised {type(outcome.exception).__name__}"
        taken = 1000 * (perf_counter() - self._started)
        for one in called:
            self.write(f"{one.plugin_name}: {hook}({', '.join(one.argnames)}) {end} in {taken:.1f} ms")
