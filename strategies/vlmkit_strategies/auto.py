"""The strategy ``auto``: measures flat and divide-and-conquer prompting on examples of its own, and uses one."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

from attrs import asdict, field, frozen
from attrs.validators import deep_iterable, ge, gt, in_, min_len, optional

from vlmkit import (
    Backend,
    Capability,
    Dataset,
    Example,
    LabelSpace,
    Letter,
    Likelihood,
    Prompt,
    Readout,
    Solving,
    Strategy,
    Task,
)
from vlmkit.data.images import open_image
from vlmkit.errors import DataError, ImageError, SpecError
from vlmkit_strategies.choice import Choice, choose
from vlmkit_strategies.dci import DCI
from vlmkit_strategies.flat import Flat
from vlmkit_strategies.gauge import Gauge, Unit
from vlmkit_strategies.held_out import HeldOut


@frozen(kw_only=True)
class Auto:
    """Chooses between ``flat`` and ``dci``, and the group size, by what they do on calibration examples.

    Before the first example of a run it solves the calibration examples with each candidate over all labels of the
    run, and with ``flat`` over nested subsets as large as the groups, each with the right label in it: that is the
    curve behind the choice. The rule is that of ``choose``.

    It never calibrates on the examples of the run: an image that it was calibrated on fails when it is met again.
    Nothing can stand left of it, and it solves nothing by itself; ``vlmkit run`` and ``Pipeline`` calibrate it.

    Args:
        calibration: Data set of the examples that are measured on, with targets among the labels of the run.
        examples: Most examples that are measured on, drawn by the run's seed.
        group_sizes: Group sizes tried, as far as they are below the number of labels.
        readout: How the choices are read off the model.
        budget: Most cost of an example in the mean, in ``unit``; None for any.
        unit: What is counted: tokens through the language model, its forwards, or questions.
    """

    calibration: Dataset = field(repr=False)
    examples: int = field(default=50, validator=ge(1))
    group_sizes: tuple[int, ...] = field(default=(5, 10, 20, 50, 100), validator=[min_len(1), deep_iterable(ge(2))])
    readout: Readout = field(factory=Likelihood)
    budget: float | None = field(default=None, validator=optional(gt(0)))
    unit: Unit = field(default="tokens", validator=in_(get_args(Unit)))

    @property
    def requires(self) -> frozenset[Capability]:
        """The capability of the readout."""
        return frozenset({self.readout.requires})

    def solve(self, task: Task) -> Solving:
        """Refuse: nothing is chosen yet.

        Raises:
            SpecError: Always.
        """
        raise SpecError(
            "strategy auto chooses by measuring the model, which only vlmkit run and Pipeline let it do",
            hint="leave out what stands left of it; elsewhere name flat or dci",
        )

    def calibrate(
        self, backend: Backend, labels: LabelSpace, *, seed: int, prompt: Prompt, in_flight: int
    ) -> Mapping[str, Any]:
        """Measure the candidates and choose one; the report also has all figures, and the digests of the images.

        Raises:
            DataError: No example can be used, or all failed.
            SpecError: The readout can be used for no candidate.
        """
        sample = self._sample(labels, seed)
        gauge = Gauge(backend, sample, labels, seed, prompt, in_flight, self.unit)
        sizes = [size for size in sorted(set(self.group_sizes)) if size < len(labels) and self._readable(size)]
        candidates = {**({"flat": Flat(self.readout)} if self._readable(len(labels)) else {}), **self._groupings(sizes)}
        if not candidates:
            raise SpecError("auto: no group size fits the letter readout", hint=f"give one of at most {Letter.limit}")
        curve = [gauge.measure("flat", Flat(self.readout), size) for size in sizes]
        measured = [gauge.measure(name, candidate, len(labels)) for name, candidate in candidates.items()]
        if all(one.failed == len(sample) for one in (*curve, *measured)):
            raise DataError(f"auto: every calibration example failed ({measured[0].error})", hint="mend the first")
        choice = choose(measured, self.budget)
        return {
            "chosen": choice.chosen.strategy,
            "reason": self._reason(choice, len(measured)),
            "unit": self.unit,
            "budget": self.budget,
            "candidates": [asdict(one) for one in measured],
            "curve": [asdict(one) for one in curve],
            "images": list(_digests(sample)),
        }

    def settled(self, report: Mapping[str, Any]) -> Strategy:
        """Return the strategy that a report chose, held to images that are not in it.

        Raises:
            SpecError: The report chose none of the candidates.
        """
        candidates = {"flat": Flat(self.readout), **self._groupings(self.group_sizes)}
        if report.get("chosen") not in candidates:
            raise SpecError(
                f"auto: the calibration chose {report.get('chosen')!r}, which is no candidate",
                hint="remove calibration.json, and it is measured again",
            )
        return HeldOut(candidates[report["chosen"]], frozenset(report.get("images", ())))

    def _groupings(self, sizes: Iterable[int]) -> dict[str, Strategy]:
        return {f"dci:group_size={size}": DCI(group_size=size, readout=self.readout) for size in sizes}

    def _readable(self, options: int) -> bool:
        return not isinstance(self.readout, Letter) or options <= Letter.limit

    def _sample(self, labels: LabelSpace, seed: int) -> list[Example]:
        """Draw the examples to measure on; of the data set, no more than those are held.

        Raises:
            DataError: None has a target among the labels.
        """
        names = frozenset(labels.names)

        def usable() -> Iterator[Example]:
            return (one for one in self.calibration if one.question is None and one.target in names)

        count = sum(1 for _ in usable())
        if not count:
            raise DataError(
                "auto: no calibration example has a target among the labels of the run",
                hint="give calibration=DATA with examples of the same labels",
            )
        drawn = set(random.Random(seed).sample(range(count), min(count, self.examples)))
        return [example for place, example in enumerate(usable()) if place in drawn]

    def _reason(self, choice: Choice, candidates: int) -> str:
        chosen, best = choice.chosen, choice.best
        right = chosen.accuracy
        words = (
            f"{chosen.strategy}: {right.value:.1%} right (95 % interval {right.low:.1%} to {right.high:.1%}) "
            f"on {right.n:,} calibration examples at {chosen.cost:,.2f} {self.unit} an example; "
        )
        if not choice.fits:
            return f"{words}no candidate is within the budget of {self.budget:,.2f}, and this is the cheapest"
        within = f" within the budget of {self.budget:,.2f}" if self.budget is not None else ""
        if chosen == best:
            return f"{words}the most accurate of {candidates} candidates{within}, and none as good is cheaper"
        return (
            f"{words}the cheapest of {candidates} candidates{within} that is not below the interval of the most "
            f"accurate, {best.strategy} with {best.accuracy.value:.1%} at {best.cost:,.2f}"
        )


def _digests(examples: Sequence[Example]) -> Iterator[str]:
    """Yield the digests of all images that can be read."""
    for example in examples:
        for source in example.images:
            try:
                yield open_image(source, name=example.id).digest
            except ImageError:
                continue
