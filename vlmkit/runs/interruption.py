"""Ctrl-C and SIGTERM while a run is at work: the first ends it gently, the second at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

from attrs import define, field

GRACE = 5.0
"""Seconds for what is done to be written after the second signal; threads that still wait for a reply end then, too."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_TOLD = b"interrupted: the examples in flight are finished first; once more ends the run at once\n"


@define
class Interruption:
    """Takes the signals that end a run. Use it in a ``with`` statement, for as long as the run is at work.

    The first signal is noted in ``asked``. The second raises ``KeyboardInterrupt`` and, where threads still wait for
    something then, ends the process after ``GRACE``; not that of an interactive session, which has more to lose.
    Ignored signals stay ignored, as ``nohup`` wants it. Only the main thread can take signals; on others nothing
    changes.
    """

    asked: bool = field(default=False, init=False)
    _at_once: bool = field(default=False, init=False)
    _before: dict[signal.Signals, Any] = field(factory=dict, init=False, repr=False)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._give_back()
        if self._at_once and not hasattr(sys, "ps1"):
            end = threading.Timer(GRACE, os._exit, (128 + signal.SIGINT,))
            end.daemon = True
            end.start()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            self._at_once = True
            self._give_back()
            raise KeyboardInterrupt
        self.asked = True
        with suppress(OSError):
            # Past sys.stderr, in whose midst the signal may have arrived.
            os.write(2, _TOLD)

    def _give_back(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
