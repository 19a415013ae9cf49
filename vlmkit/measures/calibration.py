"""Whether confidences mean what they say, and what is gained by leaving out the least confident predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from vlmkit.measures.interval import Interval, wilson
from vlmkit.types.tuples import as_tuple

BINS = 15
"""Bins of the expected calibration error, of equal width, as in the source of ``calibration``."""


@frozen
class Bin:
    """Predictions of about the same confidence.

    Args:
        low: Lower end, which belongs to the bin below, except for 0.
        high: Upper end.
        n: Predictions.
        confidence: Their mean confidence.
        accuracy: Share of them that is right.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@frozen
class Calibration:
    """How confidences and right answers go together.

    Args:
        n: Predictions with a confidence.
        ece: Expected calibration error: the mean distance of accuracy and confidence over ``BINS`` bins, by their size.
        brier: Mean squared distance of the confidence from 1 where the prediction is right, from 0 where it is wrong.
        bins: The bins that hold a prediction.
    """

    n: int
    ece: float
    brier: float
    bins: tuple[Bin, ...] = field(converter=as_tuple)


@frozen
class Threshold:
    """What remains where predictions below a confidence are left out.

    Args:
        at: The confidence.
        coverage: Share of predictions that remain.
        accuracy: Share of these that is right, with its Wilson interval.
    """

    at: float
    coverage: float
    accuracy: Interval


@frozen(eq=False)
class RiskCoverage:
    """The share of wrong predictions among the most confident ones, however many these are.

    Args:
        thresholds: The distinct confidences, greatest first, float64 [thresholds].
        kept: Predictions that are at least so confident, int64 [thresholds].
        wrong: How many of these are wrong, int64 [thresholds].
    """

    thresholds: NDArray[np.float64]
    kept: NDArray[np.int64]
    wrong: NDArray[np.int64]

    @classmethod
    def of(cls, confidences: Sequence[float], right: Sequence[bool]) -> RiskCoverage:
        """Return the curve over at least one prediction.

        Args:
            confidences: Confidence of each prediction.
            right: Whether it is right.
        """
        values, place = np.unique(-np.asarray(confidences, dtype=float), return_inverse=True)
        wrong = np.bincount(place, weights=~np.asarray(right, dtype=bool))
        return cls(-values, np.cumsum(np.bincount(place)), np.cumsum(wrong).astype(np.int64))

    @property
    def area(self) -> float:
        """The area under the curve (AURC): the mean share of wrong ones over all numbers of predictions kept.

        Predictions of the same confidence come in any order; theirs is the mean over all.

        Source: Y. Geifman, G. Uziel and R. El-Yaniv, Bias-reduced uncertainty estimation for deep neural classifiers,
            ICLR 2019.
        """
        numbers = np.arange(1, self.kept[-1] + 1)
        wrong = np.interp(numbers, np.concatenate([[0], self.kept]), np.concatenate([[0], self.wrong]))
        return float((wrong / numbers).mean())

    def threshold(self, risk: float) -> Threshold | None:
        """Return the threshold that keeps most while at most a share ``risk`` of it is wrong; None where none does."""
        (fitting,) = np.nonzero(self.wrong <= risk * self.kept)
        return self._at(fitting[-1]) if len(fitting) else None

    def keeping(self, coverage: float) -> Threshold:
        """Return the greatest threshold that keeps at least a share ``coverage`` of the predictions."""
        # A product such as 0.55 * 100 may lie a little above the whole number.
        return self._at(np.searchsorted(self.kept, min(coverage, 1.0) * self.kept[-1] - 1e-9))

    def _at(self, index: np.intp) -> Threshold:
        kept, wrong = int(self.kept[index]), int(self.wrong[index])
        accuracy = wilson(kept - wrong, kept)
        assert accuracy is not None
        return Threshold(float(self.thresholds[index]), kept / int(self.kept[-1]), accuracy)


def calibration(confidences: Sequence[float], right: Sequence[bool]) -> Calibration | None:
    """Return the calibration of predictions, or None where there is none.

    Args:
        confidences: Confidence of each, from 0 to 1.
        right: Whether it is right.

    Source: C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, On calibration of modern neural networks, ICML 2017; G. W.
        Brier, Verification of forecasts expressed in terms of probability, Monthly Weather Review 78 (1950).
    """
    if not len(confidences):
        return None
    sure, hits = np.asarray(confidences, dtype=float), np.asarray(right, dtype=float)
    place = np.clip(np.ceil(sure * BINS).astype(int) - 1, 0, BINS - 1)
    bins = [
        Bin(
            low=index / BINS,
            high=(index + 1) / BINS,
            n=int((place == index).sum()),
            confidence=float(sure[place == index].mean()),
            accuracy=float(hits[place == index].mean()),
        )
        for index in np.unique(place).tolist()
    ]
    ece = sum(one.n * abs(one.accuracy - one.confidence) for one in bins) / len(sure)
    return Calibration(len(sure), ece, float(((sure - hits) ** 2).mean()), bins)
