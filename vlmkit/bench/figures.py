"""What a measurement says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field, frozen


@frozen
class Case:
    """One thing that is measured.

    Args:
        labels: Number of labels.
        group_size: Labels in a question.
        strategy: Spec of the strategy, group size and readout included.
        readout: The readout.
    """

    labels: int
    group_size: int
    strategy: str
    readout: str


@define
class Tally:
    """What vlmkit did in one case, over all blocks.

    Args:
        seconds: Wall time.
        inside: Seconds of it inside of the model's passes.
        images: Images answered.
        questions: Questions asked.
        forwards: Language-model forwards.
        forwarded: Tokens through the language model.
        ideal: Tokens that the trie of all questions about an image has, over all images.
        flops: Floating-point operations of matrix products; None where they are not counted.
    """

    seconds: float = 0.0
    inside: float = 0.0
    images: int = 0
    questions: int = 0
    forwards: float = 0.0
    forwarded: int = 0
    ideal: int = 0
    flops: int | None = 0


@define
class Speed:
    """What came of one case.

    Args:
        case: What was measured.
        vlmkit: The side of vlmkit.
        plain: Seconds of every plain side, all questions about all images.
        peak: Floating-point operations a second of a large matrix product, the best of the run.
        memory: Most bytes in use: of the device while vlmkit ran, or, on a CPU, of the whole process so far.
    """

    case: Case
    vlmkit: Tally = field(factory=Tally)
    plain: dict[str, float] = field(factory=dict)
    peak: float = 0.0
    memory: int = 0

    @property
    def seconds_per_image(self) -> Mapping[str, float]:
        """Seconds an image by side."""
        seconds = {"vlmkit": self.vlmkit.seconds, **self.plain}
        return {side: took / self.vlmkit.images for side, took in seconds.items()}

    @property
    def ratios(self) -> Mapping[str, float]:
        """How many times as fast as each plain side vlmkit is."""
        seconds = self.seconds_per_image
        return {side: seconds[side] / seconds["vlmkit"] for side in self.plain}

    @property
    def mfu(self) -> float | None:
        """Share of the peak at which matrix products ran, host time included."""
        return None if self.vlmkit.flops is None else self.vlmkit.flops / self.vlmkit.seconds / self.peak

    @property
    def host_share(self) -> float:
        """Share of the wall time that vlmkit spent outside of the model's passes."""
        return 1 - self.vlmkit.inside / self.vlmkit.seconds

    def plainly(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        one, images = self.vlmkit, self.vlmkit.images
        return {
            "labels": self.case.labels,
            "group_size": self.case.group_size,
            "strategy": self.case.strategy,
            "readout": self.case.readout,
            "images": images,
            "questions_per_image": one.questions / images,
            "forwards_per_image": one.forwards / images,
            "seconds_per_image": dict(self.seconds_per_image),
            "images_per_second": {side: 1 / seconds for side, seconds in self.seconds_per_image.items()},
            "ratios": dict(self.ratios),
            "tokens": {"forwarded": one.forwarded / images, "ideal": one.ideal / images},
            "flops_per_image": None if one.flops is None else one.flops / images,
            "peak_flops": self.peak,
            "mfu": self.mfu,
            "host_share": self.host_share,
            "peak_memory_bytes": self.memory,
        }
