"""From single failures to systematic ones."""

from __future__ import annotations

from attrs import define, field

from vlmkit.errors import BackendError, SystematicError

AT_FIRST = 5
"""Examples at the start of a run that fail with errors of one type before it ends."""

IN_A_ROW = 20
"""Examples that the model fails one after the other, wherever in a run, before it ends."""


@define
class FailureWatch:
    """Tells single failures from those that await every example; neither number ends a run that allows for as many.

    Args:
        allowed: How many examples may fail.
        fresh: Whether no example of the run has been solved yet.
    """

    allowed: float
    fresh: bool
    _last: type[Exception] | None = field(default=None, init=False)
    _alike: int = field(default=0, init=False)
    _of_the_model: int = field(default=0, init=False)

    def see(self, error: Exception | None) -> None:
        """Take note of how the next example ended.

        Raises:
            SystematicError: So many failed in the same way that the others will, too.
        """
        if error is None:
            self.fresh, self._last, self._alike, self._of_the_model = False, None, 0, 0
            return
        self._alike = self._alike + 1 if type(error) is self._last else 1
        self._last = type(error)
        self._of_the_model = self._of_the_model + 1 if isinstance(error, BackendError | MemoryError) else 0
        if self.fresh and self._alike >= AT_FIRST and self._alike > self.allowed:
            raise SystematicError(self._alike, error)
        if self._of_the_model >= IN_A_ROW and self._of_the_model > self.allowed:
            raise SystematicError(self._of_the_model, error)
