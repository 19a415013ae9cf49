"""Aggregators: what each makes of ballots, and the laws they keep."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmkit import Ballot, Outcome, Ranking
from vlmkit.errors import StrategyError
from vlmkit_strategies.aggregators import Borda, Product, TopK, Vote, Winners

NOTHING = [
    Ballot(options=("a", "b"), choice=None, outcome=Outcome.NONE, log_probs=(-1.0, -2.0), none_log_prob=-0.5),
    Ballot(options=("a", "b"), choice=None, outcome=Outcome.INVALID, reply="hm"),
]


def scored(**scores: float) -> Ballot:
    return Ballot.scored(tuple(scores), tuple(scores.values()))


def chosen(choice: str, options: str) -> Ballot:
    return Ballot(options=tuple(options), choice=choice, outcome=Outcome.SELECTED, reply=choice)


@st.composite
def scored_ballots(draw: st.DrawFn) -> list[Ballot]:
    ballots = []
    for _ in range(draw(st.integers(0, 6))):
        names = draw(st.lists(st.sampled_from("abcdefg"), min_size=1, unique=True))
        scores = draw(st.lists(st.floats(-30, 0), min_size=len(names), max_size=len(names)))
        ballots.append(Ballot.scored(names, scores))
    return ballots


def test_winners_keep_the_order_of_the_ballots_whatever_the_scores() -> None:
    ranking = Winners()([scored(a=-9.0, b=-8.0), *NOTHING, scored(c=-0.1, d=-3.0), chosen("e", "ef")])
    assert ranking == Ranking((("b", -8.0), ("c", -0.1), ("e", 0.0)))


def test_topk_takes_the_best_of_each_ballot_in_their_order() -> None:
    ballots = [scored(a=-9.0, b=-8.0, c=-10.0), *NOTHING, scored(d=-0.1), chosen("e", "ef")]
    assert TopK(k=2)(ballots).labels == ("b", "a", "d", "e")
    assert TopK(k=1)(ballots) == Winners()(ballots)


def test_votes_are_counted_and_ties_go_to_the_better_mean_score_then_to_the_first() -> None:
    ballots = [scored(a=-4.0, b=-5.0), scored(a=-9.0, b=-1.0), scored(c=-2.0), *NOTHING, scored(b=-2.0, c=-1.9)]
    assert Vote()(ballots) == Ranking((("c", 2), ("b", 1), ("a", 1)))
    assert Vote()([chosen("z", "zy"), chosen("y", "zy")]).labels == ("z", "y")


def test_borda_gives_short_ballots_the_same_weight_at_the_top() -> None:
    ranking = Borda()([scored(a=-1.0, b=-2.0, c=-3.0), scored(c=-1.0, b=-2.0), chosen("b", "abc"), *NOTHING])
    assert ranking == Ranking((("b", 2 + 2 + 3), ("c", 1 + 3), ("a", 3)))


def test_product_multiplies_normalised_probabilities_and_floors_missing_labels() -> None:
    third, half = math.log(1 / 3), math.log(1 / 2)
    ranking = Product()([scored(a=-7.0, b=-7.0, c=-7.0), scored(a=-3.0, b=-3.0 - math.log(3)), *NOTHING])
    expected = {"a": third + math.log(3 / 4), "b": third + math.log(1 / 4), "c": third + math.log(1 / 4)}
    assert dict(ranking) == pytest.approx(expected)
    assert ranking.labels == ("a", "b", "c")
    assert dict(Product()([scored(a=-5.0, b=-5.0)])) == pytest.approx({"a": half, "b": half})


def test_product_refuses_ballots_without_scores() -> None:
    with pytest.raises(StrategyError, match=r"needs scores.*borda"):
        Product()([scored(a=-1.0, b=-2.0), chosen("a", "ab")])


@pytest.mark.parametrize("aggregator", [Winners(), TopK(), Vote(), Borda(), Product()], ids=str)
class TestLaws:
    def test_nothing_comes_of_nothing(self, aggregator) -> None:
        assert aggregator([]) == aggregator(NOTHING) == Ranking()

    @given(ballots=scored_ballots())
    def test_names_are_distinct_and_were_options(self, aggregator, ballots) -> None:
        labels = aggregator(ballots).labels
        assert len(set(labels)) == len(labels)
        assert set(labels) <= {name for ballot in ballots for name in ballot.options}
        assert bool(labels) == bool(ballots)

    @given(ballots=scored_ballots())
    def test_ballots_without_a_choice_change_nothing(self, aggregator, ballots) -> None:
        assert aggregator([*NOTHING, *ballots, *NOTHING]) == aggregator(ballots)


@pytest.mark.parametrize("aggregator", [Vote(), Borda(), Product()], ids=str)
@given(ballots=scored_ballots(), data=st.data())
def test_every_ballot_counts_alike_in_any_order(aggregator, ballots, data) -> None:
    shuffled = data.draw(st.permutations(ballots))
    assert dict(aggregator(shuffled)) == dict(aggregator(ballots))


@pytest.mark.parametrize("aggregator", [Vote(), Borda(), Product()], ids=str)
@given(ballots=scored_ballots())
def test_scores_fall(aggregator, ballots) -> None:
    scores = [score for _, score in aggregator(ballots)]
    assert scores == sorted(scores, reverse=True)


@given(ballots=scored_ballots())
def test_winners_are_the_choices_in_order(ballots) -> None:
    assert Winners()(ballots).labels == tuple(dict.fromkeys(ballot.choice for ballot in ballots))
