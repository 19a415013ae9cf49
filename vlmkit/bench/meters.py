"""What can be counted of a backend while it answers: of token trees everything, of others what their bills say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import evolve, frozen

from vlmkit.bench.figures import Counts
from vlmkit.bench.ideal import ideal_tokens
from vlmkit.bench.machine import Machine
from vlmkit.bench.watch import TimedWork, Watched
from vlmkit.contracts import Backend, Remembers
from vlmkit.engine import Solved
from vlmkit.tokentree import TokenTreeBackend
from vlmkit.tokentree.work import shapes
from vlmkit.types import Choose, Reply, Usage


class Meter(Protocol):
    """A backend that is read while it answers."""

    @property
    def backend(self) -> Backend:
        """Answers for vlmkit."""
        ...

    def reset(self) -> None:
        """Begin to count from nothing."""
        ...

    def forget(self) -> None:
        """Make the backend forget all images, so that the next case has to see them again."""
        ...

    def counts(self, solved: Sequence[Solved]) -> Counts:
        """Return what was done since ``reset`` to solve these examples."""
        ...


@frozen
class TreeMeter:
    """Reads a backend on token trees.

    Args:
        backend: Answers, through ``family``.
        family: The watched model.
        work: What ``family`` notes.
    """

    backend: TokenTreeBackend
    family: Watched
    work: TimedWork

    @classmethod
    def of(cls, backend: TokenTreeBackend, machine: Machine) -> TreeMeter:
        """Load a backend's model and watch it."""
        work = TimedWork()
        family = Watched(backend.load(), work, machine)
        return cls(evolve(backend, load=lambda: family), family, work)

    def reset(self) -> None:
        """Begin to count from nothing."""
        self.work.reset()

    def forget(self) -> None:
        """Forget all images; the model stays loaded."""
        self.backend.close()

    def counts(self, solved: Sequence[Solved]) -> Counts:
        """Return what went through the model."""
        return evolve(
            _billed(solved),
            forwarded=self.work.tokens,
            ideal=sum(ideal_tokens(one.exchanges, self.family) for one in solved) if _scored(solved) else None,
            inside=self.work.seconds,
            flops=self._flops(),
        )

    def _flops(self) -> int | None:
        text, vision = shapes(self.family.model.config)
        return None if text is None or vision is None else sum(self.work.flops(text, vision))


@frozen
class BillMeter:
    """Reads the bills of a backend.

    Args:
        backend: Answers.
    """

    backend: Backend

    def reset(self) -> None:
        """Do nothing: every answer has a bill of its own."""

    def forget(self) -> None:
        """Forget all images, where the model is local; it stays loaded."""
        if isinstance(self.backend, Remembers):
            self.backend.forget()

    def counts(self, solved: Sequence[Solved]) -> Counts:
        """Return what the bills say; nothing is said of how few tokens would do."""
        return evolve(_billed(solved), ideal=None, inside=None, flops=None)


def _billed(solved: Sequence[Solved]) -> Counts:
    usage = sum((one.usage for one in solved), Usage())
    return Counts(questions=usage.queries, forwards=usage.forwards or None, forwarded=usage.tokens.total or None)


def _scored(solved: Sequence[Solved]) -> bool:
    queries = (exchange.query for one in solved for exchange in one.exchanges)
    return all(isinstance(query, Choose) and not isinstance(query.readout, Reply) for query in queries)
