"""Measures of two runs on the same examples, and of confidences: laws, other libraries, and rates by simulation."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from vlmkit.measures import (
    RiskCoverage,
    calibration,
    confidence,
    examples_needed,
    holm,
    paired,
    sign_flip_p,
)
from vlmkit.measures.calibration import BINS

ANSWERS = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 9)), min_size=1, max_size=40)
PS = st.lists(st.floats(0, 1), max_size=6)
SCORED = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)


def columns(rows):
    return [list(column) for column in zip(*rows, strict=True)]


@settings(max_examples=40)
@given(ANSWERS)
def test_a_against_b_is_b_against_a_turned_round(answers):
    a, b, clusters = columns(answers)
    one, other = paired(a, b, clusters), paired(b, a, clusters)
    assert (one.only_a, one.only_b, one.both, one.neither) == (other.only_b, other.only_a, other.both, other.neither)
    assert one.n == one.only_a + one.only_b + one.both + one.neither == len(answers)
    assert (one.p, one.needed, one.clusters) == (other.p, other.needed, len(set(clusters)))
    assert one.difference.value == -other.difference.value
    assert one.difference.low == pytest.approx(-other.difference.high)
    assert one.difference.low <= one.difference.value <= one.difference.high
    assert 0 <= one.p <= 1
    if one.only_a and one.only_b:
        assert one.odds_ratio == pytest.approx(1 / other.odds_ratio)


@settings(max_examples=30)
@given(ANSWERS)
def test_the_difference_is_that_of_the_accuracies(answers):
    a, b, _ = columns(answers)
    assert paired(a, b).difference.value == pytest.approx(np.mean(b) - np.mean(a))


@given(st.integers(0, 60), st.integers(0, 60))
def test_without_clusters_p_is_mcnemars_exact_one_less_half_of_the_outcome_seen(only_a, only_b):
    assume(only_a + only_b)
    exact = binomtest(only_a, only_a + only_b, 0.5).pvalue
    seen = binom.pmf(min(only_a, only_b), only_a + only_b, 0.5)
    expected = 1 - seen / 2 if only_a == only_b else exact - seen
    assert sign_flip_p([-1] * only_a + [1] * only_b) == pytest.approx(expected)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_p_is_what_trying_all_signs_gives(differences):
    seen = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    share = sum((one > seen) + (one == seen) / 2 for one in sums) / len(sums)
    assert sign_flip_p(differences) == pytest.approx(share if any(differences) else 1)


def test_no_difference_is_no_proof_of_none():
    one = paired([True] * 10, [True] * 10)
    assert (one.p, one.needed, one.odds_ratio) == (1, None, None)
    assert one.difference.high == -one.difference.low == pytest.approx(0.2775, abs=1e-3)
    assert paired([], []) is None


@given(PS)
def test_holm_is_what_bonferroni_over_all_subsets_leaves(ps):
    adjusted = holm(ps)
    assert all(p <= more <= 1 for p, more in zip(ps, adjusted, strict=True))
    order = sorted(range(len(ps)), key=lambda index: ps[index])
    assert [adjusted[index] for index in order] == sorted(adjusted)
    # A hypothesis falls when every set of hypotheses that holds it does.
    sets = [chosen for size in range(1, len(ps) + 1) for chosen in combinations(range(len(ps)), size)]
    rejected = {chosen: min(1, len(chosen) * min(ps[index] for index in chosen)) for chosen in sets}
    for index in range(len(ps)):
        assert adjusted[index] == pytest.approx(max(rejected[chosen] for chosen in sets if index in chosen))


def test_examples_needed_by_hand():
    # Shares 0.05 and 0.10 that differ: (1.959964 * sqrt(0.15) + 0.841621 * sqrt(0.15 - 0.0025)) ** 2 / 0.0025.
    differences = [-1.0] * 5 + [1.0] * 10 + [0.0] * 85
    assert examples_needed(differences, [1] * 100) == 469
    assert examples_needed([-1, 1, 0], [1, 1, 1]) is None
    # Pictures asked about four times with the same outcome need four times as many examples.
    assert examples_needed([4 * d for d in differences], [4] * 100) == pytest.approx(4 * 469, abs=4)


def simulated(rng, trials, n, only_a, only_b):
    """Return p of as many comparisons of n examples, given the shares of examples that one run alone has right."""
    counts = rng.multinomial(n, [only_a, only_b, 1 - only_a - only_b], size=trials)
    found = {(a, b): sign_flip_p(np.repeat([-1, 1], (a, b))) for a, b in set(map(tuple, counts[:, :2].tolist()))}
    return np.array([found[a, b] for a, b in counts[:, :2].tolist()])


def around(rate, trials):
    """Return the numbers of rejections among which 99.9 % of simulations with this rate fall."""
    return binom.ppf([0.0005, 0.9995], trials, rate)


def test_a_planted_difference_is_found_as_often_as_computed():
    n = examples_needed([-1.0] * 5 + [1.0] * 10 + [0.0] * 85, [1] * 100)
    low, high = around(0.8, 1000)
    assert low <= (simulated(np.random.default_rng(0), 1000, n, 0.05, 0.10) <= 0.05).sum() <= high


def test_runs_that_do_not_differ_are_said_to_as_often_as_the_level_says():
    low, high = around(0.05, 1000)
    assert low <= (simulated(np.random.default_rng(0), 1000, 400, 0.1, 0.1) <= 0.05).sum() <= high


def test_questions_about_one_picture_are_no_independent_evidence():
    rng = np.random.default_rng(0)
    # Of 40 pictures, one run or the other knows some, and all five questions about them; neither is better.
    differences = rng.choice([-1, 0, 1], p=[0.25, 0.5, 0.25], size=(1000, 40))
    naive = sum(sign_flip_p(np.repeat(one, 5)) <= 0.05 for one in differences)
    clustered = sum(sign_flip_p(5 * one) <= 0.05 for one in differences)
    low, high = around(0.05, 1000)
    assert low <= clustered <= high < 300 < naive


def test_the_interval_of_a_difference_covers_it_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(150):
        change = rng.choice([-1, 0, 1], p=[0.05, 0.8, 0.15], size=200)
        found = paired(change < 0, change > 0, seed=trial).difference
        held += found.low <= 0.1 <= found.high
    assert binomtest(held, 150, 0.95).pvalue > 0.001


@given(SCORED)
def test_figures_of_confidences_are_within_0_and_1_and_agree_with_brute_force(scored):
    sure, right = columns(scored)
    found = calibration(sure, right)
    assert 0 <= found.ece <= 1 and found.brier == pytest.approx(np.mean([(s - r) ** 2 for s, r in scored]))
    assert sum(one.n for one in found.bins) == found.n == len(scored) and len(found.bins) <= BINS
    assert all(one.low - 1e-12 <= one.confidence <= one.high + 1e-12 for one in found.bins)
    # With every confidence its own, the curve is the running share of wrong ones.
    if len(set(sure)) == len(sure):
        wrong = [not r for _, r in sorted(scored, reverse=True)]
        running = np.cumsum(wrong) / np.arange(1, len(wrong) + 1)
        assert RiskCoverage.of(sure, right).area == pytest.approx(running.mean())


@given(st.lists(st.integers(1, 9), min_size=1, max_size=BINS))
def test_perfect_calibration_has_no_error(rights):
    # In bin k, confidence and accuracy are the same share.
    shares = [(r / 10, index < r) for r in rights for index in range(10)]
    assert calibration(*columns(shares)).ece == pytest.approx(0, abs=1e-12)


def test_sure_and_wrong_is_the_worst_calibration():
    found = calibration([1.0, 1.0], [False, False])
    assert (found.ece, found.brier) == (1, 1)
    assert calibration([], []) is None


@given(SCORED, st.randoms())
def test_the_curve_does_not_depend_on_the_order(scored, random):
    one = RiskCoverage.of(*columns(scored))
    shuffled = list(scored)
    random.shuffle(shuffled)
    other = RiskCoverage.of(*columns(shuffled))
    assert one.area == pytest.approx(other.area) and 0 <= one.area <= 1
    assert one.kept.tolist() == other.kept.tolist() and one.wrong.tolist() == other.wrong.tolist()


@given(SCORED, st.floats(0, 0.5))
def test_a_threshold_keeps_most_at_the_risk_asked_for(scored, risk):
    found = RiskCoverage.of(*columns(scored)).threshold(risk)
    by_hand = [
        at
        for at in {sure for sure, _ in scored}
        if np.mean([not right for sure, right in scored if sure >= at]) <= risk
    ]
    assert (found is None) == (not by_hand)
    if found is not None:
        kept = [right for sure, right in scored if sure >= found.at]
        assert found.at == min(by_hand) and found.coverage == len(kept) / len(scored)
        assert found.accuracy.value == pytest.approx(np.mean(kept))


@given(SCORED, st.floats(0, 1))
def test_a_threshold_keeps_as_much_as_is_asked_for_and_no_greater_one_does(scored, coverage):
    found = RiskCoverage.of(*columns(scored)).keeping(coverage)
    kept = {at: np.mean([sure >= at for sure, _ in scored]) for at, _ in scored}
    assert found.at == max(at for at, share in kept.items() if share >= coverage - 1e-9)
    assert found.coverage == pytest.approx(kept[found.at])


@given(st.lists(st.floats(-50, 0), min_size=2, max_size=8))
def test_confidences_over_all_names_sum_to_1(scores):
    ranking = [(str(index), score) for index, score in enumerate(scores)]
    shares = [confidence(ranking, name) for name, _ in ranking]
    assert sum(shares) == pytest.approx(1)
    assert max(shares) == shares[scores.index(max(scores))]


@pytest.mark.parametrize(
    ("ranking", "label"),
    [
        ([("a", 3.0), ("b", 2.0)], "a"),  # votes
        ([("a", 0.0)], "a"),  # nothing else was asked about
        ([("a", -1.0), ("b", -2.0)], "c"),  # an inner node
        ([("a", -1.0), ("b", -2.0)], None),
        ([("a", -np.inf), ("b", -np.inf)], "a"),
        ([], None),
    ],
)
def test_scores_that_are_no_log_probabilities_give_no_confidence(ranking, label):
    assert confidence(ranking, label) is None


def test_a_label_that_cannot_be_has_confidence_0():
    assert confidence([("a", -1.0), ("b", -np.inf)], "b") == 0
