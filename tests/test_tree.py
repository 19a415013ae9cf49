"""Strategies over a taxonomy: what they ask, what they answer, what they cost."""

from __future__ import annotations

import random
from math import ceil, exp, log

import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmkit import (
    Ask,
    Ballot,
    Choose,
    Classify,
    Image,
    Label,
    Outcome,
    Pipeline,
    Prediction,
    Ranking,
    Reply,
    Taxonomy,
)
from vlmkit.errors import SpecError, TaxonomyError
from vlmkit.testing.strategies import taxonomies
from vlmkit_adapters.scripted import ScriptedBackend
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_glyphs.names import COLOURS, SHAPES, TEXTURES
from vlmkit_strategies.dci import DCI
from vlmkit_strategies.flat import Flat
from vlmkit_strategies.tree import Tree
from vlmkit_strategies.vote import Vote

PICTURE = Image(PIL.Image.new("RGB", (2, 2)))

ZOO = Taxonomy(
    [
        ("animal", "bird", "crane"),
        ("animal", "bird", "heron"),
        ("animal", "mammal", "cat"),
        ("animal", "mammal", "dog"),
        ("machine", "lifting machine", "crane"),
        ("machine", "clock"),
        ("stone",),
    ]
)


def task(taxonomy: Taxonomy | None = ZOO, labels=None) -> Classify:
    labels = labels or (taxonomy.labels if taxonomy else ["cat"])
    return Classify(images=(PICTURE,), labels=labels, taxonomy=taxonomy)


def drive(strategy, task, answer) -> tuple[Prediction, list[list[Choose]]]:
    """Solve one task by hand; return the prediction and the queries of each round."""
    solving, answers, rounds = strategy.solve(task), None, []
    while True:
        try:
            rounds.append(list(solving.send(answers)))
        except StopIteration as stop:
            return stop.value, rounds
        answers = [answer(query) for query in rounds[-1]]


def shown(rounds) -> list[list[list[str]]]:
    return [[[option.name for option in query.options] for query in queries] for queries in rounds]


def believing(**odds: float):
    """Answer with log-odds that are given by name, 1 for all others; spaces in names are underscores here."""

    def answer(query: Choose) -> Ballot:
        names = [option.name for option in query.options]
        return Ballot.scored(names, [log(odds.get(name.replace(" ", "_"), 1.0)) - 7.0 for name in names])

    return answer


def chances(**odds: float) -> dict:
    """Work out the probability of every leaf of the zoo by hand."""
    found = {}
    for leaf in ZOO.paths:
        chance = 1.0
        for depth in range(len(leaf)):
            siblings = [odds.get(child[-1].replace(" ", "_"), 1.0) for child in ZOO.children(leaf[:depth])]
            chance *= odds.get(leaf[depth].replace(" ", "_"), 1.0) / sum(siblings)
        found[ZOO.label_of(leaf)] = chance
    return found


# Going down


def test_greedy_asks_about_the_children_on_its_way() -> None:
    prediction, rounds = drive(Tree(Flat()), task(), believing(bird=3.0, heron=2.0))
    assert shown(rounds) == [[["animal", "machine", "stone"]], [["bird", "mammal"]], [["crane", "heron"]]]
    assert (prediction.label, prediction.path) == ("heron", ("animal", "bird", "heron"))
    expected = [("heron", 1 / 3 * 3 / 4 * 2 / 3), ("crane (bird)", 1 / 3 * 3 / 4 * 1 / 3)]
    assert [(name, pytest.approx(exp(score))) for name, score in prediction.ranking] == expected
    assert [(played.candidates, played.queries, len(played.survivors)) for played in prediction.trace] == [
        (7, 1, 4),
        (4, 1, 2),
        (2, 1, 1),
    ]


def test_a_node_with_one_child_costs_nothing() -> None:
    prediction, rounds = drive(Tree(Flat()), task(), believing(machine=9.0, lifting_machine=3.0))
    assert shown(rounds) == [[["animal", "machine", "stone"]], [["lifting machine", "clock"]]]
    assert (prediction.label, prediction.path[-1]) == ("crane (lifting machine)", "crane")
    chain = Taxonomy([("a", "b", "c")])
    assert drive(Tree(Flat()), task(chain), believing()) == (
        Prediction("c", Ranking([("c", 0.0)]), path=("a", "b", "c")),
        [],
    )


def test_a_beam_finds_what_greedy_walks_past() -> None:
    odds = {"animal": 5.0, "machine": 4.0, "clock": 9.0}
    greedy, _ = drive(Tree(Flat()), task(), believing(**odds))
    beam, rounds = drive(Tree(Flat(), descend="beam", beam=2), task(), believing(**odds))
    assert (greedy.path[0], beam.label) == ("animal", "clock")
    assert shown(rounds)[1] == [["bird", "mammal"], ["lifting machine", "clock"]]
    assert beam.ranking.labels[0] == "clock"


@given(taxonomies(), st.integers(0, 5))
@settings(max_examples=50)
def test_a_beam_of_one_is_greedy_and_one_that_never_cuts_is_full(taxonomy: Taxonomy, seed: int) -> None:
    backend = ScriptedBackend(accuracy=0.6, seed=seed)

    def solved(**options) -> Prediction:
        return drive(Tree(Flat(), **options), task(taxonomy), lambda query: backend.answer([query])[0])[0]

    assert solved() == solved(descend="beam", beam=1)
    wide, full = solved(descend="beam", beam=100), solved(descend="full")
    assert (wide.label, wide.path) == (full.label, full.path)
    assert dict(wide.ranking) == pytest.approx(dict(full.ranking))


@given(taxonomies(), st.sampled_from(["greedy", "beam", "full", "bottom-up"]), st.integers(0, 5))
@settings(max_examples=100)
def test_a_descent_answers_a_leaf_with_the_way_to_it(taxonomy: Taxonomy, descend: str, seed: int) -> None:
    backend = ScriptedBackend(accuracy=0.6, seed=seed)
    strategy = Tree(Flat(), descend=descend)
    prediction, rounds = drive(strategy, task(taxonomy), lambda query: backend.answer([query])[0])
    assert prediction.path == taxonomy.leaves_of([prediction.label])[0]
    assert prediction.label == prediction.ranking.labels[0]
    way = [len(taxonomy.children(prediction.path[:depth])) for depth in range(len(prediction.path))]
    if descend == "greedy":
        asked = [len(query.options) for queries in rounds for query in queries]
        assert asked == [children for children in way if children > 1]
    if descend == "full":
        assert len(prediction.ranking) == len(taxonomy.paths)
        assert sum(exp(score) for _, score in prediction.ranking) == pytest.approx(1.0)


def test_full_is_the_exact_product_in_one_round() -> None:
    odds = {"animal": 2.0, "bird": 3.0, "clock": 4.0, "crane": 0.5}
    prediction, [queries] = drive(Tree(Flat(), descend="full"), task(), believing(**odds))
    assert len(queries) == 5
    assert {name: exp(score) for name, score in prediction.ranking} == pytest.approx(chances(**odds))
    assert sum(exp(score) for _, score in prediction.ranking) == pytest.approx(1.0)
    assert prediction.label == prediction.ranking.labels[0] == max(chances(**odds), key=chances(**odds).get)


@pytest.mark.parametrize("descend", ["greedy", "beam", "full"])
def test_a_doubtful_choice_ends_the_way_at_the_parent(descend: str) -> None:
    strategy = Tree(Flat(), descend=descend, stop_below=0.6)
    prediction, _ = drive(strategy, task(), believing(animal=9.0, bird=9.0))
    assert (prediction.label, prediction.path) == ("bird", ("animal", "bird"))
    prediction, _ = drive(strategy, task(), believing())
    assert (prediction.label, prediction.path) == (None, ())


def test_a_refused_choice_ends_the_way_too() -> None:
    def refusing(query: Choose) -> Ballot:
        names = [option.name for option in query.options]
        choice = None if "bird" in names else names[0]
        return Ballot(names, choice, Outcome.NONE if choice is None else Outcome.SELECTED)

    prediction, _ = drive(Tree(Flat(readout=Reply(), allow_none=True)), task(), refusing)
    assert (prediction.label, prediction.path, len(prediction.ranking)) == ("animal", ("animal",), 0)


def test_the_inner_strategy_solves_each_choice() -> None:
    wide = Taxonomy([("flower", f"kind {number}") for number in range(30)] + [("tree", "oak")])
    prediction, rounds = drive(Tree(DCI(group_size=10)), task(wide), believing(flower=2.0, kind_17=2.0))
    assert prediction.path == ("flower", "kind 17")
    assert [[len(options) for options in queries] for queries in shown(rounds)] == [[2], [10, 10, 10], [3]]
    assert [played.queries for played in prediction.trace] == [1, 4]


def test_a_vote_of_descents_has_the_path_of_its_winner() -> None:
    prediction, _ = drive(Vote(Tree(Flat()), permutations=3), task(), believing(animal=2.0, bird=3.0, heron=2.0))
    assert (prediction.label, prediction.path) == ("heron", ("animal", "bird", "heron"))


def test_only_the_way_to_the_labels_is_asked_about() -> None:
    some = [Label("crane (bird)", "a tall wader"), Label("cat"), Label("dog")]
    prediction, rounds = drive(Tree(Flat()), task(labels=some), believing())
    assert shown(rounds) == [[["bird", "mammal"]]]
    assert prediction.path == ("animal", "bird", "crane")
    _, [[query]] = drive(Tree(Flat()), task(labels=[*some[:1], Label("heron")]), believing())
    assert query.options[0] == Label("crane", "a tall wader")


# Levels by themselves


def test_bottom_up_takes_the_ancestors_of_the_leaf() -> None:
    prediction, rounds = drive(Tree(Flat(), descend="bottom-up"), task(), believing(dog=2.0))
    assert shown(rounds) == [[list(ZOO.labels.names)]]
    assert (prediction.label, prediction.path) == ("dog", ("animal", "mammal", "dog"))


def test_leaf_conditioned_asks_the_levels_above_given_the_leaf() -> None:
    prediction, rounds = drive(Tree(Flat(), descend="leaf-conditioned"), task(), believing(dog=2.0, machine=2.0))
    assert shown(rounds)[1] == [["animal", "machine", "stone"], ["bird", "mammal"]]
    first, second = (query.text for query in rounds[1])
    assert first.startswith("The image shows dog.\nWhich category does the image show?")
    assert second.splitlines()[-2:] == ["bird", "mammal"]
    assert (prediction.label, prediction.path) == ("dog", ("machine", "bird", "dog"))


def test_flat_by_level_asks_every_level_by_itself() -> None:
    prediction, [queries] = drive(
        Tree(Flat(), descend="flat-by-level"), task(), believing(machine=2.0, mammal=2.0, dog=2.0)
    )
    assert shown([queries])[0] == [
        list(ZOO.labels.names),
        ["animal", "machine", "stone"],
        ["bird", "mammal", "lifting machine", "clock"],
        ["crane (bird)", "heron", "cat", "dog", "crane (lifting machine)"],
    ]
    assert (prediction.label, prediction.path) == ("dog", ("machine", "mammal", "dog"))
    even = Taxonomy([("a", "x"), ("a", "y"), ("b", "z")])
    prediction, [queries] = drive(Tree(Flat(), descend="flat-by-level"), task(even), believing(b=2.0, y=2.0))
    assert (shown([queries])[0], prediction.path) == ([["x", "y", "z"], ["a", "b"]], ("b", "y"))


def test_a_level_without_an_answer_is_empty() -> None:
    def refusing(query: Choose) -> Ballot:
        return Ballot([option.name for option in query.options], None, Outcome.NONE)

    inner = Flat(readout=Reply(), allow_none=True)
    prediction, _ = drive(Tree(inner, descend="flat-by-level"), task(), refusing)
    assert (prediction.label, prediction.path) == (None, ("", "", ""))
    for descend in ("bottom-up", "leaf-conditioned"):
        assert drive(Tree(inner, descend=descend), task(), refusing)[0].path == ()


# What it refuses


def test_it_needs_a_taxonomy_with_the_labels() -> None:
    with pytest.raises(TaxonomyError, match="tree needs a taxonomy; give --taxonomy FILE"):
        drive(Tree(Flat()), task(None), believing())
    with pytest.raises(TaxonomyError, match="'unicorn' is no leaf"):
        drive(Tree(Flat()), task(labels=["cat", "unicorn"]), believing())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam": 3}, "descend=greedy has no beam"),
        ({"descend": "bottom-up", "stop_below": 0.5}, "bottom-up does not stop"),
    ],
)
def test_options_that_do_nothing_are_refused(options: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Tree(Flat(), **options)


def test_no_label_is_a_null_prediction_and_a_free_question_passes_through() -> None:
    assert drive(Tree(Flat()), Classify((PICTURE,), ()), believing()) == (Prediction(None), [])
    question = Ask((PICTURE,), "How many?")
    _, [[query]] = drive(Tree(Flat()), question, lambda query: ScriptedBackend().answer([query])[0])
    assert query.text == "How many?"


# On the embedded model


def test_full_on_a_model_is_brute_force_over_all_paths() -> None:
    data = Glyphs(labels=40, images=2)
    with Pipeline("tiny", "tree:descend=full", device="cpu", dtype="float32", keep_exchanges=True) as pipeline:
        solved = list(pipeline.solve(data, taxonomy=data.taxonomy))
        for one in solved:
            assert one.prediction is not None
            plain = {}
            for leaf in data.taxonomy.paths:
                total = 0.0
                for depth in range(len(leaf)):
                    children = [child[-1] for child in data.taxonomy.children(leaf[:depth])]
                    if len(children) == 1:
                        continue
                    picture = one.example.images[0]
                    query = Classify((Image(picture),), children).choose(map(Label, children))
                    (ballot,) = pipeline.backend.answer([query])
                    weights = [exp(score) for score in ballot.log_probs]
                    total += ballot.log_probs[children.index(leaf[depth])] - log(sum(weights))
                plain[data.taxonomy.label_of(leaf)] = total
            assert dict(one.prediction.ranking) == pytest.approx(plain, abs=1e-4)
            assert {exchange.round for exchange in one.exchanges} == {0}


def grown(path: tuple[str, ...], leaves: int, deep: int, rng: random.Random) -> list[tuple[str, ...]]:
    """Grow a tree below a node, 3 to ``deep`` levels in all; siblings are distinct words of one token each."""
    if leaves == 1 and len(path) >= 3:
        return [path]
    forks = min(leaves, max(2, ceil(leaves ** (1 / (deep - len(path))))))
    names = rng.sample([*COLOURS, *TEXTURES, *SHAPES], forks)
    sizes = [leaves // forks + (index < leaves % forks) for index in range(forks)]
    return [leaf for name, size in zip(names, sizes, strict=True) for leaf in grown((*path, name), size, deep, rng)]


def test_ten_thousand_leaves_cost_the_children_on_the_way_and_one_trunk() -> None:
    rng = random.Random(0)
    sizes = [400, *[1_066] * 8, 1_072]
    paths = [
        leaf
        for shape, size, deep in zip(SHAPES, sizes, range(3, 13), strict=True)
        for leaf in grown((shape,), size, deep, rng)
    ]
    taxonomy = Taxonomy(paths)
    assert (len(taxonomy.paths), {len(path) for path in taxonomy.paths}) == (10_000, set(range(3, 13)))
    with Pipeline("tiny", "flat", device="cpu", dtype="float32") as flat:
        (plain,) = flat.solve(Glyphs(labels=10, images=1, seed=1), SHAPES)
        tree = Pipeline(flat.backend, "tree", keep_exchanges=True)
        for one in tree.solve(Glyphs(labels=10, images=6), taxonomy=taxonomy):
            assert one.prediction is not None
            way = [len(taxonomy.children(one.prediction.path[:depth])) for depth in range(len(one.prediction.path))]
            asked = [len(exchange.query.options) for exchange in one.exchanges]
            assert asked == [children for children in way if children > 1]
            assert sum(asked) < 50
            # The first question rides on the trunk whole, but for its last token. Each later one brings its options,
            # a name and a line break each, and the four tokens that end a user's turn and open the model's.
            assert one.usage.tokens.trunk == plain.usage.tokens.trunk
            assert one.usage.tokens.branch <= 1 + sum(2 * children + 4 for children in asked[1:])
            assert one.usage.images_encoded == 1
