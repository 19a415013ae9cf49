"""Times vlmkit and the plain ways in turn, block by block of images."""

from __future__ import annotations

import itertools
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from attrs import evolve, frozen

from vlmkit.bench.figures import Case, Speed
from vlmkit.bench.ideal import ideal_tokens
from vlmkit.bench.peak import peak_flops
from vlmkit.bench.sides import Plainly
from vlmkit.bench.watch import TimedWork, Watched, wait
from vlmkit.contracts import Strategy
from vlmkit.engine import Engine, Solved
from vlmkit.engine.models import build_backend
from vlmkit.errors import ModelError
from vlmkit.registry import Builder, Spec
from vlmkit.testing.located import located
from vlmkit.testing.plain import Plain
from vlmkit.tokentree import Checkpoint, TokenTreeBackend
from vlmkit.tokentree.work import shapes
from vlmkit.types import Choose, Example, LabelSpace

WRITTEN = 16
"""Most tokens of a reply of a model that knows when to end it."""


@frozen
class Amount:
    """How much is measured.

    Args:
        images: Images of each case that vlmkit answers, after one for warm-up.
        in_flight: Images that it works on at once: a block.
        batch: Questions that go through ``generate`` together on the batched side.
        sample: Most questions, or labels of the loop, that a plain side answers in a block.
    """

    images: int = 8
    in_flight: int = 4
    batch: int = 8
    sample: int = 16


@frozen
class Bench:
    """What is measured, and on what.

    Args:
        builder: Builds model, strategies and data.
        amount: How much is measured.
        device: Device of all sides.
        dtype: Precision of all sides.
        say: Takes a line about what goes on.
    """

    builder: Builder
    amount: Amount
    device: str | None
    dtype: str | None
    say: Callable[[str], None]

    def run(self, model: str, cases: Sequence[Case]) -> list[Speed]:
        """Measure every case.

        Raises:
            UserError: Model, strategy or number of labels is wrong.
        """
        strategies = [self.builder.strategy(case.strategy) for case in cases]
        spaces = [self._data(case, 1, 0)[0] for case in cases]
        words = dict.fromkeys(name for space in spaces for name in space.names)
        device = str(Checkpoint(model, self.device, self.dtype).torch_device)
        with TemporaryDirectory() as folder:
            self.say(f"opening {model}")
            found = located(model, self.builder, Path(folder), words=list(words), device=device)
            backend = build_backend(found.model, self.builder, device=self.device, dtype=self.dtype)
            if not isinstance(backend, TokenTreeBackend):
                raise ModelError(f"model {model} does not run on token trees", hint="see vlmkit ls adapters")
            plain = Plain(found.checkpoint, self.device, self.dtype)
            longest = WRITTEN
            if found.random:  # a label of the usual length, and the end of the turn
                tokens = plain.processor.tokenizer(list(words), add_special_tokens=False)["input_ids"]
                longest = round(sum(map(len, tokens)) / len(tokens)) + 1
            sides = Plainly(plain, self.amount.batch, self.amount.sample, longest, longest if found.random else 0)
            work = TimedWork()
            family = Watched(backend.load(), work)
            with closing(evolve(backend, load=lambda: family)) as watched:
                contest = Contest(watched, family, work, sides, self.amount)
                speeds = [
                    self._measured(case, strategy, contest, seed)
                    for seed, (case, strategy) in enumerate(zip(cases, strategies, strict=True))
                ]
        # One machine has one peak, and other work on it can only hide it.
        peak = max(speed.peak for speed in speeds)
        for speed in speeds:
            speed.peak = peak
        return speeds

    def _measured(self, case: Case, strategy: Strategy, contest: Contest, seed: int) -> Speed:
        self.say(f"{case.labels:,} labels, {case.strategy}")
        # Every case has pictures of its own: none is remembered from another.
        labels, examples = self._data(case, self.amount.images + 1, seed)
        speed = contest.run(case, strategy, labels, examples)
        self.say("  " + ", ".join(f"{ratio:.1f}x {side.replace('_', ' ')}" for side, ratio in speed.ratios.items()))
        return speed

    def _data(self, case: Case, images: int, seed: int) -> tuple[LabelSpace, Iterator[Example]]:
        data = self.builder.dataset(
            Spec("glyphs", {"labels": str(case.labels), "images": str(images), "seed": str(seed)})
        )
        return data.labels, iter(data)


@frozen
class Contest:
    """The sides.

    Args:
        backend: Answers for vlmkit, through ``family``.
        family: The watched model.
        work: What ``family`` notes.
        plain: The plain sides.
        amount: How much is measured.
    """

    backend: TokenTreeBackend
    family: Watched
    work: TimedWork
    plain: Plainly
    amount: Amount

    def run(self, case: Case, strategy: Strategy, labels: LabelSpace, examples: Iterator[Example]) -> Speed:
        """Measure one case; the first example warms everything up."""
        engine = Engine(strategy, self.backend, in_flight=self.amount.in_flight, keep_exchanges=True)
        warm = _questions(list(_solved(engine, [next(examples)], labels)))
        for answer in evolve(self.plain, sample=1).sides.values():
            answer(warm[:1])
        speed = Speed(case)
        while block := list(itertools.islice(examples, self.amount.in_flight)):
            solved = self._answer(engine, block, labels, speed)
            questions = _questions(solved)
            for side, answer in self.plain.sides.items():
                speed.plain[side] = speed.plain.get(side, 0.0) + answer(questions)
            device, dtype = self.family.checkpoint.torch_device, self.family.checkpoint.torch_dtype
            speed.peak = max(speed.peak, peak_flops(device, dtype))
        return speed

    def _answer(self, engine: Engine, block: Sequence[Example], labels: LabelSpace, speed: Speed) -> list[Solved]:
        """Let vlmkit answer about a block, and add it to its side."""
        device = self.family.device
        self.work.reset()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        wait(device)
        started = time.perf_counter()
        solved = list(_solved(engine, block, labels))
        wait(device)
        tally = speed.vlmkit
        tally.seconds += time.perf_counter() - started
        tally.inside += self.work.seconds
        tally.images += len(block)
        tally.questions += sum(one.usage.queries for one in solved)
        tally.forwards += sum(one.usage.forwards for one in solved)
        tally.forwarded += self.work.tokens
        for one in solved:
            picture = self.family.picture(one.exchanges[0].query.images[0], True)
            tally.ideal += ideal_tokens(one.exchanges, self.family, picture.tokens)
        done = self._flops()
        tally.flops = None if done is None or tally.flops is None else tally.flops + done
        speed.memory = max(speed.memory, _peak_memory(device))
        return solved

    def _flops(self) -> int | None:
        text, vision = shapes(self.family.model.config)
        return None if text is None or vision is None else sum(self.work.flops(text, vision))


def _solved(engine: Engine, examples: Sequence[Example], labels: LabelSpace) -> Iterator[Solved]:
    for one in engine.solve(examples, labels):
        if one.error is not None:
            raise one.error
        yield one


def _questions(solved: Sequence[Solved]) -> list[Choose]:
    return [exchange.query for one in solved for exchange in one.exchanges if isinstance(exchange.query, Choose)]


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
