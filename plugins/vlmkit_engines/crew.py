"""The processes at work, from the side of the one that hands out examples."""

from __future__ import annotations

import logging
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, Pipe, wait
from multiprocessing.process import BaseProcess
from typing import Any

from attrs import define, evolve, field

from vlmkit import Example
from vlmkit.engine import Solved
from vlmkit.errors import BackendError, UserError
from vlmkit_engines.backlog import Backlog
from vlmkit_engines.worker import Said, work

LIVES = 3
"""Processes that may die over an example before it counts as failed."""

PATIENCE = 5.0
"""Longest wait for the end of a process that was told to end, in seconds."""

_log = logging.getLogger(__name__)


@define(eq=False)
class Worker:
    """One process.

    Args:
        place: Its place in the crew.
        process: The process.
        connection: To it.
        asked: The examples that it has and has not solved, by their ids.
        waits: Whether it asked for examples and has got none.
    """

    place: int
    process: BaseProcess
    connection: Connection[Any, Said]
    asked: dict[str, Example] = field(factory=dict, init=False)
    waits: bool = field(default=False, init=False)

    @classmethod
    def start(cls, place: int, job: Sequence[Any]) -> Worker:
        """Start the process with what ``work`` is to do; it is a fresh interpreter, and never hears of Ctrl-C."""
        ours, theirs = Pipe()
        with _interrupts_held():
            process = get_context("spawn").Process(target=work, args=(theirs, *job), daemon=True)
            process.start()
        theirs.close()  # so that the end of the process is the end of the connection
        return cls(place, process, ours)

    def ask(self, examples: Iterable[Example]) -> None:
        """Hand it examples; a dead one is found out when it is heard."""
        self.asked = {example.id: example for example in examples}
        self.waits = False
        with suppress(OSError):
            self.connection.send(list(self.asked.values()))

    def bury(self) -> int | None:
        """Return the exit code of one that is dead."""
        self.process.join(PATIENCE)
        self.close()
        return self.process.exitcode

    def close(self) -> None:
        """End it."""
        self.connection.close()
        self.process.terminate()
        self.process.join(PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


@define
class Crew:
    """Workers, one for each device, and the examples they share.

    Args:
        devices: The devices, for messages.
        jobs: What each worker is to do.
        backlog: The examples.
        replacements: How often a worker is replaced before its place stays empty.
        stop: Whether no further example shall be handed out.
    """

    devices: Sequence[str]
    jobs: Sequence[Sequence[Any]]
    backlog: Backlog
    replacements: int
    stop: Callable[[], bool]
    _workers: list[Worker] = field(factory=list, init=False)
    _died: Counter[int] = field(factory=Counter, init=False)
    _died_over: Counter[str] = field(factory=Counter, init=False)

    def solved(self) -> Iterator[Solved]:
        """Yield what became of every example; on a stop, of those that were handed out.

        Raises:
            UserError: A worker found the request as a whole wrong, or none is left.
        """
        self._workers.extend(Worker.start(place, job) for place, job in enumerate(self.jobs))
        done: deque[Solved] = deque()
        while self._hand_out():
            if not self._workers:
                yield from done
                raise UserError("all processes died too often", hint=_HINT)
            try:
                for worker in self._heard(wait_for_one=not done):
                    done.extend(self._hear(worker))
            except UserError:
                yield from done
                raise
            if done:
                yield done.popleft()
        yield from done

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.close()
        self._workers.clear()

    def _hand_out(self) -> bool:
        """Give examples to all workers that wait; return whether any example is still to be solved."""
        for worker in self._workers:
            if worker.waits and not self.stop() and self.backlog.waiting:
                worker.ask(self.backlog.take())
        return any(worker.asked for worker in self._workers) or (not self.stop() and self.backlog.waiting)

    def _heard(self, *, wait_for_one: bool) -> list[Worker]:
        by_connection = {worker.connection: worker for worker in self._workers}
        ready = wait(list(by_connection), timeout=None if wait_for_one else 0)
        return [worker for connection, worker in by_connection.items() if connection in ready]

    def _hear(self, worker: Worker) -> Iterator[Solved]:
        """Take one message of a worker, or the news of its death."""
        try:
            said = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._replace(worker)
            return
        if isinstance(said, UserError):
            raise said
        if said is None:
            worker.waits = True
        else:  # its pictures in memory stayed here
            yield evolve(said, example=worker.asked.pop(said.example.id))

    def _replace(self, worker: Worker) -> Iterator[Solved]:
        self._workers.remove(worker)
        code, device, examples = worker.bury(), self.devices[worker.place], worker.asked.values()
        self._died[worker.place] += 1
        self._died_over.update(example.id for example in examples)
        for example in examples:
            if self._died_over[example.id] >= LIVES:
                error = BackendError(f"{LIVES} processes died over it, the last one {_how(code)}", hint=_HINT)
                yield Solved(example, error=error)
        self.backlog.put_back(example for example in examples if self._died_over[example.id] < LIVES)
        again = self._died[worker.place] <= self.replacements and not self.stop()
        what = "replaced" if again else "not replaced any more"
        _log.warning("a process on %s died %s; it is %s, and what it had is asked again", device, _how(code), what)
        if again:
            self._workers.append(Worker.start(worker.place, self.jobs[worker.place]))


_HINT = "is memory short? Lower --in-flight; the same command goes on from here"


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return f"of {signal.Signals(-code).name}"
    return f"with exit code {code}"


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back: processes that start meanwhile inherit that for good, and this one hears of it afterwards."""
    resource_tracker.ensure_running()  # which would let them through when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
