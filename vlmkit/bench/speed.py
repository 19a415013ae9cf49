"""Opens a model and its plain counterpart, and measures case by case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import evolve, frozen

from vlmkit.bench.contest import Contest
from vlmkit.bench.dense import Yardstick
from vlmkit.bench.figures import Case, Speed
from vlmkit.bench.machine import Machine
from vlmkit.bench.meters import BillMeter, TreeMeter
from vlmkit.bench.sides import Plainly
from vlmkit.contracts import Backend, Dataset
from vlmkit.engine import check_capabilities
from vlmkit.engine.models import build_backend
from vlmkit.errors import DataError
from vlmkit.forking import ForkingBackend
from vlmkit.registry import Builder
from vlmkit.testing.located import Located, resolved
from vlmkit.testing.plain import Plain
from vlmkit.tokentree import Checkpoint, TokenTreeBackend
from vlmkit.types import Example

WRITTEN = 16
"""Most tokens of a reply of a model that knows when to end it."""


@frozen
class Amount:
    """How much is measured.

    Args:
        images: Images of each case that vlmkit answers, after as many as are in flight for warm-up.
        in_flight: Images that it works on at once.
        block: Images that a side answers in its turn.
        batch: Questions that go through ``generate`` together on the batched side.
        sample: Most questions, or labels of the loop, that a plain side answers in a block; 0 leaves those sides out.
    """

    images: int = 8
    in_flight: int = 4
    block: int = 4
    batch: int = 8
    sample: int = 16


@frozen
class Bench:
    """What is measured, and on what.

    Args:
        builder: Builds model and strategies.
        data: Pictures, and the labels whose first ones a case takes.
        amount: How much is measured.
        device: Device of all sides.
        dtype: Precision of all sides.
        say: Takes a line about what goes on.
    """

    builder: Builder
    data: Dataset
    amount: Amount
    device: str | None
    dtype: str | None
    say: Callable[[str], None]

    def run(self, model: str, cases: Sequence[Case]) -> list[Speed]:
        """Measure every case on the same pictures.

        Raises:
            UserError: Model, strategy, number of labels or of pictures is wrong.
            VlmkitError: An example failed.
        """
        strategies = [self.builder.strategy(case.strategy) for case in cases]
        labels = self.data.labels
        if len(labels) < 2:
            raise DataError("the data has no two labels to choose between", hint="give data with targets")
        most = max(case.labels for case in cases)
        if most > len(labels):
            raise DataError(
                f"the data has {len(labels):,} labels, not {most:,}",
                hint="give fewer with --labels, or other data: --data glyphs:labels=N,per_image=2 has up to a million",
            )
        first, examples = self._examples()
        device = str(Checkpoint(model, self.device, self.dtype).torch_device)
        with TemporaryDirectory() as folder:
            self.say(f"opening {model}")
            words = labels.names[:most]
            found = resolved(model, self.builder, Path(folder), words=words, device=device)
            with closing(build_backend(found.model, self.builder, device=self.device, dtype=self.dtype)) as backend:
                for strategy in strategies:
                    check_capabilities(strategy, backend)
                contest = self._contest(backend, found, words)
                speeds = []
                for case, strategy in zip(cases, strategies, strict=True):
                    self.say(f"{case.labels:,} labels, {case.strategy}")
                    speed = contest.run(case, strategy, labels[: case.labels], first, examples)
                    ratios = (f"{ratio:.1f}x {side.replace('_', ' ')}" for side, ratio in speed.ratios.items())
                    self.say(f"  {speed.images / speed.seconds['vlmkit']:.3g} images/s {', '.join(ratios)}".rstrip())
                    speeds.append(speed)
        return _compared(speeds)

    def _examples(self) -> tuple[list[Example], list[Example]]:
        """Return what warms up, and what is measured."""
        warming = min(self.amount.in_flight, self.amount.images)
        wanted = warming + self.amount.images
        examples = [evolve(example, question=None) for example in islice(self.data, wanted)]
        if len(examples) < wanted:
            most = len(examples) - min(self.amount.in_flight, len(examples) // 2)
            raise DataError(
                f"the data has {len(examples):,} pictures, and {wanted:,} are needed: {warming:,} warm up",
                hint=f"give --images {most} or more data" if len(examples) > 1 else "give more data",
            )
        return examples[:warming], examples[warming:]

    def _contest(self, backend: Backend, found: Located, words: Sequence[str]) -> Contest:
        turns = self.amount.in_flight, self.amount.block
        if not isinstance(backend, TokenTreeBackend | ForkingBackend):  # its model runs elsewhere, or is none
            return Contest(BillMeter(backend), None, None, None, *turns)
        checkpoint = Checkpoint(found.checkpoint, self.device, self.dtype)
        machine = Machine(checkpoint.torch_device, checkpoint.torch_dtype)
        plain = Plain(found.checkpoint, self.device, self.dtype)
        sides = self._sides(plain, found, words) if self.amount.sample else None
        if not isinstance(backend, TokenTreeBackend):
            return Contest(BillMeter(backend), machine, sides, None, *turns)
        meter = TreeMeter.of(backend, machine)
        return Contest(meter, machine, sides, Yardstick(meter.family, plain, machine), *turns)

    def _sides(self, plain: Plain, found: Located, words: Sequence[str]) -> Plainly:
        longest = WRITTEN
        if found.random:  # a label of the usual length, and the end of the turn
            tokens = plain.processor.tokenizer(list(words), add_special_tokens=False)["input_ids"]
            longest = round(sum(map(len, tokens)) / len(tokens)) + 1
        return Plainly(plain, self.amount.batch, self.amount.sample, longest, longest if found.random else 0)


def _compared(speeds: Sequence[Speed]) -> list[Speed]:
    """Tell every case what only all of them together say."""
    # One machine has one peak, and other work on it can only hide it.
    peak = max((speed.peak for speed in speeds if speed.peak is not None), default=None)
    cases = {speed.case: speed for speed in speeds}
    for speed in speeds:
        speed.peak = peak
        half = next((one for case, one in cases.items() if _doubles(speed.case, case)), None)
        if half is not None:
            speed.doubling = speed.seconds_per_image["vlmkit"] / half.seconds_per_image["vlmkit"]
    return list(speeds)


def _doubles(case: Case, half: Case) -> bool:
    return evolve(half, labels=2 * half.labels) == case
