"""Training, validation and test: drawn apart for every kind, so that each part has all of them."""

from __future__ import annotations

import numpy as np
from attrs import field, frozen
from attrs.validators import and_, gt, lt
from numpy.typing import NDArray

PARTS = ("train", "validation", "test")
"""What is learnt from, what settings are chosen on, and what is judged once."""

_share = and_(gt(0.0), lt(1.0))


@frozen
class Split:
    """How much goes into each part.

    Args:
        validation: Share of the validation part.
        test: Share of the test part.
        seed: Chooses who goes where.
    """

    validation: float = field(default=0.2, validator=_share)
    test: float = field(default=0.2, validator=_share)
    seed: int = 0

    def __attrs_post_init__(self) -> None:
        if self.validation + self.test >= 1:
            raise ValueError(f"validation {self.validation:g} and test {self.test:g} leave nothing to train on")

    def __call__(self, kinds: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Return the rows of each part; each part has at least one row of every kind.

        Args:
            kinds: A number for the kind of each row, int64 [rows]; at least three rows are of each kind.
        """
        rng = np.random.default_rng(self.seed)
        parts: dict[str, list[int]] = {part: [] for part in PARTS}
        for kind in np.unique(kinds):
            rows = rng.permutation(np.flatnonzero(kinds == kind)).tolist()
            validation, test = (max(1, round(share * len(rows))) for share in (self.validation, self.test))
            while validation + test >= len(rows):
                validation, test = (validation - 1, test) if validation > 1 else (validation, test - 1)
            parts["test"] += rows[:test]
            parts["validation"] += rows[test : test + validation]
            parts["train"] += rows[test + validation :]
        return {part: np.sort(np.array(rows, dtype=np.int64)) for part, rows in parts.items()}
