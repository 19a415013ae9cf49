"""Several images as one."""

from __future__ import annotations

from math import ceil, sqrt

import PIL.Image
import PIL.ImageOps
from attrs import evolve, field, frozen
from attrs.validators import ge, optional

from vlmkit import Capability, Image, Solving, Strategy, Task


@frozen
class Stitched:
    """Solves a task with its images side by side in a single one, row by row.

    Every image fits into a square of its own, with its proportions, on black. A task with one image stays as it is.

    Args:
        inner: The strategy that solves the task.
        columns: Images in a row; by default as many as there are rows, or one more.
        size: Pixels of the whole picture's longer side.

    Source: MIMIC, "More Images, More Problems?".
    """

    inner: Strategy
    columns: int | None = field(default=None, validator=optional(ge(1)))
    size: int = field(default=768, validator=ge(1))

    @property
    def requires(self) -> frozenset[Capability]:
        """What the inner strategy requires."""
        return self.inner.requires

    def solve(self, task: Task) -> Solving:
        """Solve a task as the inner strategy does."""
        if len(task.images) > 1:
            task = evolve(task, images=[self._stitched(task.images)])
        return (yield from self.inner.solve(task))

    def _stitched(self, images: tuple[Image, ...]) -> Image:
        columns = min(self.columns or ceil(sqrt(len(images))), len(images))
        rows = ceil(len(images) / columns)
        side = max(1, self.size // max(columns, rows))
        whole = PIL.Image.new("RGB", (columns * side, rows * side))
        for index, image in enumerate(images):
            row, column = divmod(index, columns)
            whole.paste(PIL.ImageOps.pad(image.pixels, (side, side)), (column * side, row * side))
        return Image(whole, " + ".join(image.source for image in images))
