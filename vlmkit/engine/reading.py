"""Examples as far as they can be read, for engines that read ahead."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, field

from vlmkit.types import Example


@define
class Reading(Iterator[Example]):
    """Ends where reading raises, so that what was read before is solved first; ``check`` then says what is wrong.

    Args:
        examples: The examples.
    """

    examples: Iterator[Example]
    _error: Exception | None = field(default=None, init=False)

    def __next__(self) -> Example:
        if self._error is not None:
            raise StopIteration
        try:
            return next(self.examples)
        except StopIteration:
            raise
        except Exception as error:  # a data set may be anybody's
            self._error = error
            raise StopIteration from None

    def check(self) -> None:
        """Raise what reading raised, if anything."""
        if self._error is not None:
            raise self._error
