"""Figures over paths: brute-force definitions, an independent library, and the laws between them."""

from __future__ import annotations

import json

import hiclass.metrics
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmkit import Taxonomy
from vlmkit.measures import clustered, wilson
from vlmkit.testing.strategies import taxonomies
from vlmkit_hierarchy.graded import Graded, grade
from vlmkit_hierarchy.levels import LevelNames
from vlmkit_hierarchy.metrics import METRICS, at_depth
from vlmkit_hierarchy.summary import Grading
from vlmkit_hierarchy.tree_metrics import tree_metrics

NAMES = st.sampled_from("abc")
ANSWERS = st.none() | NAMES
TARGETS = st.lists(st.none() | NAMES, min_size=1, max_size=6).filter(any)
PAIRS = st.tuples(TARGETS, st.lists(ANSWERS, max_size=7))


def graded(pair, **options) -> Graded:
    made = grade("image", *pair, **options)
    assert made is not None
    return made


def value(name, *pairs, **options):
    ratios = [METRICS[name](graded(pair, **options)) for pair in pairs]
    return sum(numerator for numerator, _ in ratios) / sum(denominator for _, denominator in ratios)


def by_hand(pair) -> list[bool]:
    """Return which graded levels are right."""
    target, predicted = pair
    return [
        index < len(predicted) and predicted[index] == name for index, name in enumerate(target) if name is not None
    ]


@given(PAIRS)
def test_figures_of_one_path_are_what_their_definitions_say(pair):
    right = by_hand(pair)
    levels = len(right)
    assert value("hca", pair) == np.prod(right)
    assert value("leaf_accuracy", pair) == right[-1]
    assert value("por", pair) == pytest.approx(np.mean(right))
    prefixes = [length for length in range(levels + 1) if all(right[:length])]
    assert value("s_por_prefix", pair) == pytest.approx(max(prefixes) / levels)
    runs = [end - start for start in range(levels + 1) for end in range(start, levels + 1) if all(right[start:end])]
    assert value("s_por_run", pair) == pytest.approx(max(runs) / levels)
    if levels > 1:
        both = sum(right[level] * right[level + 1] for level in range(levels - 1))
        assert value("tor", pair) == pytest.approx(both / (levels - 1))
    else:
        assert METRICS["tor"](graded(pair)) == (0, 0)


@given(PAIRS, st.booleans())
def test_hca_is_never_above_the_looser_figures(pair, count_root):
    hca = value("hca", pair, count_root=count_root)
    for looser in ("leaf_accuracy", "por", "s_por_prefix", "s_por_run"):
        assert value(looser, pair, count_root=count_root) >= hca
    assert value("s_por_run", pair) >= value("s_por_prefix", pair)
    assert value("por", pair) >= value("s_por_run", pair)


def test_the_two_definitions_of_s_por_differ_where_the_top_is_wrong():
    pair = (("animal", "bird", "owl", "barn owl"), ("plant", "bird", "owl", "tawny owl"))
    assert value("s_por_prefix", pair) == 0
    assert value("s_por_run", pair) == 0.5


@given(PAIRS)
def test_the_root_is_one_more_level_that_is_right(pair):
    levels = len(graded(pair).target)
    assert value("por", pair, count_root=True) == pytest.approx((value("por", pair) * levels + 1) / (levels + 1))
    for unmoved in ("hca", "leaf_accuracy"):
        assert value(unmoved, pair, count_root=True) == value(unmoved, pair)


@given(PAIRS)
def test_case_counts_unless_it_is_told_not_to(pair):
    target, predicted = pair
    shouted = (target, [answer and answer.upper() for answer in predicted])
    assert value("por", shouted, ignore_case=True) == value("por", pair)
    assert value("por", shouted) == 0


@given(PAIRS, st.integers(0, 6))
def test_an_ungraded_level_might_as_well_not_be_there(pair, place):
    target, predicted = pair
    place = min(place, len(target), len(predicted))
    longer = ([*target[:place], None, *target[place:]], [*predicted[:place], "wrong", *predicted[place:]])
    assert graded(longer).right == graded(pair).right
    for name, metric in METRICS.items():
        assert metric(graded(longer)) == metric(graded(pair)), name


def test_a_path_without_a_graded_level_is_not_graded():
    assert grade("image", (None, None), ("a", "b")) is None


def test_levels_keep_their_numbers_where_others_are_ungraded():
    one = graded((("a", None, "c"), ("a", "b", "x")))
    assert [at_depth(depth)(one) for depth in (1, 2, 3, 4)] == [(1, 1), (0, 0), (0, 1), (0, 0)]


@st.composite
def ragged_trees(draw) -> list[tuple[str, ...]]:
    """Draw the leaves of a tree in which no name stands twice."""
    leaves: list[tuple[str, ...]] = []

    def grow(path: tuple[str, ...]) -> None:
        children = draw(st.integers(0 if path else 1, 3)) if len(path) < 4 else 0
        if not children:
            leaves.append(path)
        for child in range(children):
            grow((*path, f"{path[-1] if path else 'n'}{child}"))

    grow(())
    return leaves


@given(st.data(), ragged_trees())
def test_hierarchical_precision_recall_and_f1_are_those_of_hiclass(data, leaves):
    pairs = data.draw(st.lists(st.tuples(st.sampled_from(leaves), st.sampled_from(leaves)), min_size=1, max_size=8))
    # hiclass sees a third axis in tables of one column, so one empty level is added below.
    width = max(map(len, leaves)) + 1
    table = [[(*path, *[""] * (width - len(path))) for path in paths] for paths in zip(*pairs, strict=True)]
    true, predicted = (np.array(rows, dtype=object) for rows in table)
    if any(set(target) & set(other) for target, other in pairs):
        assert value("hierarchical_f1", *pairs) == pytest.approx(hiclass.metrics.f1(true, predicted))
    assert value("hierarchical_precision", *pairs) == pytest.approx(hiclass.metrics.precision(true, predicted))
    assert value("hierarchical_recall", *pairs) == pytest.approx(hiclass.metrics.recall(true, predicted))


def test_right_leaves_with_wrong_paths_are_a_share_of_the_right_leaves():
    pairs = [(("a", "b"), ("a", "b")), (("a", "b"), ("c", "b")), (("a", "b"), ("a", "c"))]
    assert value("right_leaf_wrong_path", *pairs) == 0.5


OBSERVATIONS = st.lists(
    st.tuples(st.sampled_from("wxyz"), st.tuples(st.integers(0, 3), st.integers(0, 3))), max_size=12
)


@given(OBSERVATIONS)
def test_a_ratio_is_that_of_the_sums_and_lies_in_its_interval(observations):
    found = clustered(((image, [ratio]) for image, ratio in observations), ["ratio"])["ratio"]
    total = sum(denominator for _, (_, denominator) in observations)
    if total == 0:
        assert found is None
    else:
        assert found is not None and found.n == total
        assert found.value == pytest.approx(sum(numerator for _, (numerator, _) in observations) / total)
        assert found.low <= found.value <= found.high


@pytest.mark.parametrize("right", [0, 1])
def test_a_share_on_which_all_images_agree_still_has_an_interval(right):
    observations = [(image, [(right, 1), (right, 1)]) for image in range(20) for _ in range(3)]
    found = clustered(observations, ["share", "height"], shares=["share"])
    share, height = found["share"], found["height"]
    agreed = wilson(20 * right, 20)
    assert share is not None and height is not None and agreed is not None
    assert (share.value, share.low, share.high, share.n) == (right, agreed.low, agreed.high, 60)
    assert height.low == height.high == right


def half_right(questions_an_image: int, images: int):
    return [(str(image), [(image % 2, 1)]) for image in range(images) for _ in range(questions_an_image)]


def test_an_interval_depends_on_the_number_of_images_and_not_on_how_often_each_is_asked():
    once, often = (clustered(half_right(times, 100), ["share"])["share"] for times in (1, 9))
    assert once is not None and often is not None
    assert (often.low, often.high) == (once.low, once.high)
    # The standard error of a share of one half over 100 images is 0.05.
    assert once.high - once.low == pytest.approx(2 * 1.96 * 0.05, abs=0.03)
    assert clustered(half_right(1, 100), ["share"])["share"] == once


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(100):
        rates = rng.beta(2, 2, size=80)
        observations = [(image, [(int(rng.random() < rate), 1)]) for image, rate in enumerate(rates) for _ in range(5)]
        found = clustered(observations, ["rate"], seed=trial)["rate"]
        assert found is not None
        held += found.low <= 0.5 <= found.high
    assert 0.88 <= held / 100 <= 0.99


TREE = Taxonomy(
    [
        ("animal", "bird", "owl", "barn owl"),
        ("animal", "bird", "owl", "tawny owl"),
        ("animal", "bird", "crane"),
        ("machine", "crane"),
        ("machine", "lorry", "tipper"),
    ]
)


def of_tree(name, target, predicted, **options):
    return tree_metrics(TREE)[name](graded((target, predicted), **options))


@pytest.mark.parametrize(
    ("predicted", "height"),
    [
        (("animal", "bird", "owl", "tawny owl"), 1),
        (("animal", "bird", "owl", None), 1),
        (("animal", "bird", "crane"), 2),
        (("machine", "crane", None, None), 4),
        ((None, None, None, None), 4),
        (("machine", "bird", "owl", "tawny owl"), 1),
        (("animal", "bird", "owl", "no such owl"), 4),
    ],
)
def test_a_mistake_is_as_severe_as_the_lowest_common_ancestor_is_high(predicted, height):
    assert of_tree("mistake_severity", ("animal", "bird", "owl", "barn owl"), predicted) == (height, 1)


def test_a_right_leaf_is_no_mistake():
    barn_owl = ("animal", "bird", "owl", "barn owl")
    assert of_tree("mistake_severity", barn_owl, ("machine", *barn_owl[1:])) == (0, 0)


@pytest.mark.parametrize("count_root", [False, True])
@pytest.mark.parametrize(
    ("target", "predicted", "valid"),
    [
        (("machine", "crane"), ("machine", "crane"), True),
        (("machine", "crane"), ("animal", "bird", "crane"), True),
        (("machine", "crane"), ("animal", "crane"), False),
        (("machine", "crane"), ("animal", "bird"), False),
        (("machine", "crane"), ("machine", None), False),
        (("animal", "bird", None), ("animal", "bird", None), True),
        (("animal", None, "crane"), ("animal", "never asked", "crane"), True),
        (("animal", None, "crane"), ("machine", "never asked", "crane"), False),
    ],
)
def test_a_path_is_valid_if_the_tree_has_it_down_to_a_leaf(target, predicted, valid, count_root):
    assert of_tree("path_validity", target, predicted, count_root=count_root) == (valid, 1)


def test_what_is_below_an_inner_target_is_ungraded_and_costs_nothing():
    names = LevelNames(TREE)
    assert names.graded(("animal", "bird")) == ("animal", "bird", None, None)
    assert names.graded(("machine", "crane")) == ("machine", "crane")
    deeper = (names.graded(("animal", "bird")), ("animal", "bird", "crane"))
    assert all(value(name, deeper) == 1 for name in ("hca", "leaf_accuracy", "hierarchical_precision"))


def test_names_are_distinct_within_their_level_alone():
    assert LevelNames(TREE).path(("animal", "bird", "crane")) == ("animal", "bird", "crane")
    twins = Taxonomy([("a", "x"), ("b", "x"), ("b", "y")])
    assert list(LevelNames(twins).levels[1].values()) == ["x (a)", "x (b)", "y"]


@given(taxonomies(), st.data())
def test_every_leaf_of_any_taxonomy_is_a_valid_path_and_mistakes_are_between_leaf_and_root(tree, data):
    names = LevelNames(tree)
    target, other = (data.draw(st.sampled_from(tree.paths)) for _ in range(2))
    metrics = tree_metrics(tree)
    one = graded((names.path(target), names.path(other)))
    assert metrics["path_validity"](one) == (1, 1)
    height, mistakes = metrics["mistake_severity"](one)
    if other == target:
        assert mistakes == 0
    else:
        assert mistakes == 1 and 1 <= height <= tree.depth


def test_figures_are_plain_json_with_intervals_and_levels():
    paths = [("animal", "bird", "crane"), ("machine", "crane"), ("machine", "lorry", "tipper")]
    found = Grading().figures([(path[-1], path, paths[0]) for path in paths], TREE)
    assert json.loads(json.dumps(found)) == found
    assert found["hca"]["value"] == pytest.approx(1 / 3) and found["hca"]["n"] == 3
    assert [(level["depth"], level["n"]) for level in found["level_accuracy"]] == [(1, 3), (2, 3), (3, 2)]
    assert found["path_validity"]["value"] == 1
    assert set(found) == {*METRICS, "path_validity", "mistake_severity", "level_accuracy"}
    assert Grading().figures([])["hca"] is None
