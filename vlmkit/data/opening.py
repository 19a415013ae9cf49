"""Opening the pictures of an example, within the limits that a run sets."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import ge

from vlmkit.data.images import ImageLimits, open_image
from vlmkit.data.remote import Remote
from vlmkit.errors import ImageError
from vlmkit.types import Example, Image, ImageSource, ImageUrl


@frozen
class Opener:
    """Opens the pictures of examples.

    Args:
        limits: How large a picture may be.
        images: Most pictures of an example.
        remote: Fetches pictures that lie on servers; None fetches none.
    """

    limits: ImageLimits = field(factory=ImageLimits)
    images: int = field(default=256, validator=ge(1))
    remote: Remote | None = None

    def open(self, example: Example) -> tuple[Image, ...]:
        """Open an example's pictures, in order.

        Raises:
            ImageError: One cannot be opened or fetched, or there are too many.
        """
        if len(example.images) > self.images:
            raise ImageError(
                example.id,
                f"its example has {len(example.images):,} images, more than {self.images:,}",
                hint="raise --max-images",
            )
        return tuple(self._opened(source, example.id) for source in example.images)

    def _opened(self, source: ImageSource, name: str) -> Image:
        if isinstance(source, ImageUrl) and self.remote is not None:
            source = self.remote.fetch(source, name=name, most=self.limits.bytes)
        return open_image(source, name=name, limits=self.limits)
