"""Lets vlmkit and the plain ways answer in turn, block by block of images."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TypeVar

from attrs import evolve, frozen

from vlmkit.bench.dense import Yardstick
from vlmkit.bench.figures import Case, Dense, Speed
from vlmkit.bench.machine import Machine
from vlmkit.bench.meters import Meter
from vlmkit.bench.sides import Plainly
from vlmkit.contracts import Strategy
from vlmkit.engine import Engine, Solved
from vlmkit.types import Choose, Example, LabelSpace

T = TypeVar("T")


@frozen
class Contest:
    """The sides.

    Args:
        meter: Answers for vlmkit.
        machine: Where all sides run; None for a server.
        plain: The plain sides; None where there is no checkpoint to load.
        yardstick: Times dense passes, for models on token trees.
        in_flight: Images that vlmkit works on at once.
        block: Images that a side answers in its turn.
    """

    meter: Meter
    machine: Machine | None
    plain: Plainly | None
    yardstick: Yardstick | None
    in_flight: int
    block: int

    def run(
        self, case: Case, strategy: Strategy, labels: LabelSpace, first: Sequence[Example], examples: Sequence[Example]
    ) -> Speed:
        """Measure one case, everything warmed up on a first block: what growing memory costs is no run's speed."""
        self.meter.forget()
        engine = Engine(strategy, self.meter.backend, in_flight=self.in_flight, keep_exchanges=True)
        self._warm_up(_solved(engine, first, labels))
        speed = Speed(case, dense=None if self.yardstick is None else Dense())
        for block in batches(examples, self.block):
            solved = self._answer(engine, block, labels, speed)
            if self.plain is not None:
                questions = _questions(solved)
                for side, answer in self.plain.sides.items():
                    speed.seconds[side] = speed.seconds.get(side, 0.0) + answer(questions)
            if self.yardstick is not None and speed.dense is not None:
                self.yardstick.measure([one.exchanges[0].query.images for one in solved], speed.dense)
            if self.machine is not None:
                speed.peak = max(speed.peak or 0.0, self.machine.peak_flops())
        return speed

    def _warm_up(self, solved: Sequence[Solved]) -> None:
        if self.plain is not None:
            for answer in evolve(self.plain, sample=1).sides.values():
                answer(_questions(solved)[: self.plain.batch])
        if self.yardstick is not None:
            self.yardstick.measure([one.exchanges[0].query.images for one in solved[:1]], Dense())

    def _answer(self, engine: Engine, block: Sequence[Example], labels: LabelSpace, speed: Speed) -> list[Solved]:
        """Let vlmkit answer about a block, and add it to its side."""
        self.meter.reset()
        if self.machine is not None:
            self.machine.forget_memory()
            self.machine.wait()
        started = time.perf_counter()
        solved = _solved(engine, block, labels)
        if self.machine is not None:
            self.machine.wait()
        speed.seconds["vlmkit"] = speed.seconds.get("vlmkit", 0.0) + time.perf_counter() - started
        speed.images += len(block)
        speed.counts += self.meter.counts(solved)
        if self.machine is not None:
            speed.memory = max(speed.memory or 0, self.machine.peak_memory())
        return solved


def batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """Cut items into batches."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _solved(engine: Engine, examples: Sequence[Example], labels: LabelSpace) -> list[Solved]:
    solved = list(engine.solve(examples, labels))
    for one in solved:
        if one.error is not None:
            raise one.error
    return solved


def _questions(solved: Sequence[Solved]) -> list[Choose]:
    return [exchange.query for one in solved for exchange in one.exchanges if isinstance(exchange.query, Choose)]
