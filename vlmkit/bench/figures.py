"""What a measurement says. What cannot be known of a model is None: a server tells little, transformers alone more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from attrs import astuple, define, field, frozen


@frozen
class Case:
    """One thing that is measured.

    Args:
        labels: Number of labels.
        strategy: Spec of the strategy, group size and readout included.
        group_size: Labels in a question; None for a strategy without groups.
        readout: The readout; None for a strategy that takes none.
    """

    labels: int
    strategy: str
    group_size: int | None = None
    readout: str | None = None


@frozen
class Counts:
    """What vlmkit did; None is what cannot be counted, and stays so in a sum.

    Args:
        questions: Questions asked.
        forwards: Language-model forwards.
        forwarded: Tokens through the language model.
        ideal: Tokens that the trie of all questions about an image has, over all images.
        inside: Seconds inside of the model's passes.
        flops: Floating-point operations of matrix products.
    """

    questions: int = 0
    forwards: float | None = 0.0
    forwarded: int | None = 0
    ideal: int | None = 0
    inside: float | None = 0.0
    flops: int | None = 0

    def __add__(self, other: Counts) -> Counts:
        pairs: Iterator[tuple[Any, Any]] = zip(astuple(self), astuple(other), strict=True)
        sums: Iterator[Any] = (None if one is None or more is None else one + more for one, more in pairs)
        return Counts(*sums)


@define
class Dense:
    """What the model's passes take where nothing is clever about them.

    Args:
        vision: Seconds of each vision pass, one example's images a pass.
        token: Seconds a token of each dense forward of the language model.
    """

    vision: list[float] = field(factory=list)
    token: list[float] = field(factory=list)

    @property
    def vision_seconds(self) -> float:
        """Seconds of a vision pass, the median."""
        return median(self.vision)

    @property
    def token_seconds(self) -> float:
        """Seconds of a token, the median."""
        return median(self.token)


@define
class Speed:
    """What came of one case.

    Args:
        case: What was measured.
        images: Images answered.
        seconds: Wall time of every side, all questions about all images; vlmkit's is ``vlmkit``.
        counts: What vlmkit did.
        dense: What dense passes took, for models on token trees.
        peak: Floating-point operations a second of a large matrix product, the best of the run; None off this machine.
        memory: Most bytes in use: of the device while vlmkit ran, or, on a CPU, of the whole process so far.
        doubling: Seconds an image over those of the same case with half as many labels, where that was measured.
    """

    case: Case
    images: int = 0
    seconds: dict[str, float] = field(factory=dict)
    counts: Counts = field(factory=Counts)
    dense: Dense | None = None
    peak: float | None = None
    memory: int | None = None
    doubling: float | None = None

    @property
    def seconds_per_image(self) -> Mapping[str, float]:
        """Seconds an image by side."""
        return {side: took / self.images for side, took in self.seconds.items()}

    @property
    def ratios(self) -> Mapping[str, float]:
        """How many times as fast as each plain side vlmkit is."""
        ours = self.seconds["vlmkit"]
        return {side: took / ours for side, took in self.seconds.items() if side != "vlmkit"}

    @property
    def mfu(self) -> float | None:
        """Share of the peak at which matrix products ran, host time included."""
        if self.counts.flops is None or self.peak is None:
            return None
        return self.counts.flops / self.seconds["vlmkit"] / self.peak

    @property
    def host_share(self) -> float | None:
        """Share of the wall time that vlmkit spent outside of the model's passes."""
        return None if self.counts.inside is None else 1 - self.counts.inside / self.seconds["vlmkit"]

    @property
    def cost_over_ideal(self) -> float | None:
        """Wall time over that of a vision pass and the tokens of the ideal trie at the price of dense ones."""
        if self.dense is None or self.counts.ideal is None:
            return None
        ideal = self.dense.vision_seconds * self.images + self.dense.token_seconds * self.counts.ideal
        return self.seconds["vlmkit"] / ideal

    def plainly(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        counts = self.counts
        return {
            "labels": self.case.labels,
            "group_size": self.case.group_size,
            "strategy": self.case.strategy,
            "readout": self.case.readout,
            "images": self.images,
            "questions_per_image": self._each(counts.questions),
            "forwards_per_image": self._each(counts.forwards),
            "seconds_per_image": dict(self.seconds_per_image),
            "images_per_second": {side: 1 / seconds for side, seconds in self.seconds_per_image.items()},
            "ratios": dict(self.ratios),
            "doubling": self.doubling,
            "tokens": {"forwarded": self._each(counts.forwarded), "ideal": self._each(counts.ideal)},
            "dense": self.dense
            and {
                "vision_seconds": self.dense.vision_seconds,
                "token_seconds": self.dense.token_seconds,
                "cost_over_ideal": self.cost_over_ideal,
            },
            "flops_per_image": self._each(counts.flops),
            "peak_flops": self.peak,
            "mfu": self.mfu,
            "host_share": self.host_share,
            "peak_memory_bytes": self.memory,
        }

    def _each(self, amount: float | None) -> float | None:
        return None if amount is None else amount / self.images
