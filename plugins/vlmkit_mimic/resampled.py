"""Images of less detail and the same size: what pooling is held against."""

from __future__ import annotations

import PIL.Image
from attrs import evolve, field, frozen
from attrs.validators import ge

from vlmkit import Capability, Image, Solving, Strategy, Task


@frozen
class Resampled:
    """Solves a task with images that are made smaller and then as large as before.

    The model sees as many visual tokens as of the images themselves, with as much less in them as pooling by the same
    factor leaves. It changes pixels alone, so any model will do.

    Args:
        inner: The strategy that solves the task.
        factor: How many times fewer pixels the small images have.

    Source: MIMIC, "More Images, More Problems?".
    """

    inner: Strategy
    factor: float = field(default=4.0, validator=ge(1.0))

    @property
    def requires(self) -> frozenset[Capability]:
        """What the inner strategy requires."""
        return self.inner.requires

    def solve(self, task: Task) -> Solving:
        """Solve a task as the inner strategy does."""
        return (yield from self.inner.solve(evolve(task, images=map(self._resampled, task.images))))

    def _resampled(self, image: Image) -> Image:
        size = image.pixels.size
        small = tuple(max(1, round(side / self.factor**0.5)) for side in size)
        if small == size:
            return image
        bicubic = PIL.Image.Resampling.BICUBIC
        return Image(image.pixels.resize(small, bicubic).resize(size, bicubic), image.source)
