"""Intervals: known values, and the laws that any interval of a proportion obeys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmkit.measures import wilson

COUNTS = st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # R. G. Newcombe, Two-sided confidence intervals for the single proportion (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_values(successes, n, low, high):
    interval = wilson(successes, n)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


@given(COUNTS)
def test_the_interval_lies_in_0_to_1_and_holds_the_value(counts):
    successes, n = counts
    interval = wilson(successes, n)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
    assert interval.high > interval.low
    assert interval.value == successes / n


@given(COUNTS)
def test_failures_mirror_successes(counts):
    successes, n = counts
    one, other = wilson(successes, n), wilson(n - successes, n)
    assert one.low == pytest.approx(1 - other.high)
    assert one.high == pytest.approx(1 - other.low)


@given(COUNTS)
def test_more_trials_and_less_confidence_make_it_narrower(counts):
    successes, n = counts
    interval, larger, looser = wilson(successes, n), wilson(4 * successes, 4 * n), wilson(successes, n, confidence=0.8)
    assert larger.high - larger.low < interval.high - interval.low
    assert looser.high - looser.low < interval.high - interval.low


def test_no_trials_give_no_interval():
    assert wilson(0, 0) is None


@pytest.mark.parametrize(("successes", "n", "confidence"), [(2, 1, 0.95), (-1, 3, 0.95), (1, 2, 1.0)])
def test_impossible_counts_are_refused(successes, n, confidence):
    with pytest.raises(ValueError, match=r"in \d+ trials|not between"):
        wilson(successes, n, confidence=confidence)
