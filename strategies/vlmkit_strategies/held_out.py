"""Strategies that were chosen on some images, and must not be judged by them."""

from __future__ import annotations

from attrs import field, frozen

from vlmkit import Capability, Solving, Strategy, Task
from vlmkit.errors import StrategyError


@frozen
class HeldOut:
    """Asks as another strategy does, but never about an image that this strategy was chosen on.

    Args:
        inner: The strategy that was chosen.
        calibrated_on: Digests of the images that it was chosen on.
    """

    inner: Strategy
    calibrated_on: frozenset[str] = field(repr=False)

    @property
    def requires(self) -> frozenset[Capability]:
        """What the chosen strategy requires."""
        return self.inner.requires

    def solve(self, task: Task) -> Solving:
        """Solve one task.

        Raises:
            StrategyError: One of its images is among those of the calibration.
        """
        seen = next((image for image in task.images if image.digest in self.calibrated_on), None)
        if seen is not None:
            raise StrategyError(
                f"image {seen.source} is one that auto was calibrated on, so its result would flatter",
                hint="calibrate on other images, or give other ones to solve",
            )
        return (yield from self.inner.solve(task))
