"""The taxonomy: laws of a rooted tree, labels, and what is no tree."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmkit import Taxonomy
from vlmkit.errors import TaxonomyError
from vlmkit.testing.strategies import taxonomies

CRANES = Taxonomy(
    [
        ("animal", "bird", "crane"),
        ("animal", "bird", "wader", "heron"),
        ("machine", "crane"),
        ("animal", "cat"),
        ("animal", "bird", "wader", "egret"),
    ]
)


# The tree


@given(taxonomies())
def test_it_is_a_tree_whose_leaves_are_the_paths(taxonomy: Taxonomy) -> None:
    assert nx.is_arborescence(taxonomy.graph)
    assert {node for node in taxonomy.graph if taxonomy.graph.out_degree(node) == 0} == set(taxonomy.paths)
    assert set(taxonomy.nodes) | {()} == set(taxonomy.graph)
    assert [node for node in taxonomy.nodes if taxonomy.is_leaf(node)] != []


@given(taxonomies())
def test_children_and_parents_are_each_others_inverse(taxonomy: Taxonomy) -> None:
    for node in ((), *taxonomy.nodes):
        assert all(taxonomy.parent(child) == node for child in taxonomy.children(node))
        assert taxonomy.is_leaf(node) == (taxonomy.children(node) == ())
    assert sum(len(taxonomy.children(node)) for node in ((), *taxonomy.nodes)) == len(taxonomy.nodes)


@given(taxonomies())
def test_levels_part_the_nodes(taxonomy: Taxonomy) -> None:
    levels = [taxonomy.level(depth) for depth in range(1, taxonomy.depth + 1)]
    assert Counter(node for level in levels for node in level) == Counter(taxonomy.nodes)
    assert all(len(node) == depth for depth, level in enumerate(levels, start=1) for node in level)


@given(taxonomies())
def test_ancestors_are_the_way_down(taxonomy: Taxonomy) -> None:
    for node in taxonomy.nodes:
        ancestors = taxonomy.ancestors(node)
        assert set(ancestors) == nx.ancestors(taxonomy.graph, node) - {()}
        assert list(ancestors) == sorted(ancestors, key=len)
        assert taxonomy.ancestors(node, root=True) == ((), *ancestors)


@given(taxonomies())
def test_leaves_and_heights_are_those_of_the_graph(taxonomy: Taxonomy) -> None:
    for node in ((), *taxonomy.nodes):
        below = nx.descendants(taxonomy.graph, node) | {node}
        assert taxonomy.leaves(node) == tuple(path for path in taxonomy.paths if path in below)
        lengths = nx.single_source_shortest_path_length(taxonomy.graph, node)
        assert taxonomy.height(node) == max(lengths.values())


@given(taxonomies(), st.data())
def test_the_lowest_common_ancestor_is_that_of_the_graph(taxonomy: Taxonomy, data: st.DataObject) -> None:
    nodes = st.sampled_from([(), *taxonomy.nodes])
    first, second = data.draw(nodes), data.draw(nodes)
    expected = nx.lowest_common_ancestor(taxonomy.graph, first, second)
    assert taxonomy.lowest_common_ancestor(first, second) == expected


def test_siblings_stand_in_the_order_of_their_first_leaves() -> None:
    assert CRANES.children(()) == (("animal",), ("machine",))
    assert CRANES.children(("animal",)) == (("animal", "bird"), ("animal", "cat"))
    assert CRANES.level(3) == (("animal", "bird", "crane"), ("animal", "bird", "wader"))


# Labels


@given(taxonomies())
def test_every_node_has_a_label_of_its_own(taxonomy: Taxonomy) -> None:
    assert all(taxonomy.path_of(taxonomy.label_of(node)) == node for node in taxonomy.nodes)
    assert taxonomy.labels.names == tuple(taxonomy.label_of(path) for path in taxonomy.paths)
    assert taxonomy.leaves_of(taxonomy.labels) == taxonomy.paths


@given(taxonomies())
def test_a_leaf_whose_name_no_other_leaf_has_is_called_by_it(taxonomy: Taxonomy) -> None:
    times = Counter(path[-1] for path in taxonomy.paths)
    for path, label in zip(taxonomy.paths, taxonomy.labels.names, strict=True):
        if times[path[-1]] == 1:
            assert label == path[-1]


def test_names_that_stand_twice_get_as_many_ancestors_as_it_takes() -> None:
    assert CRANES.labels.names == ("crane (bird)", "heron", "crane (machine)", "cat", "egret")
    deep = Taxonomy([("a", "x", "leaf"), ("b", "x", "leaf"), ("leaf", "leaf")])
    assert deep.labels.names == ("leaf (x, a)", "leaf (x, b)", "leaf (leaf)")
    assert deep.label_of(("leaf",)) == "leaf"
    assert deep.label_of(("b", "x")) == "x (b)"


def test_an_inner_node_never_has_the_label_of_a_leaf() -> None:
    genus = Taxonomy([("Bovidae", "Bison", "Bison"), ("Canidae", "Canis")])
    assert (genus.labels.names, genus.label_of(("Bovidae", "Bison"))) == (("Bison", "Canis"), "Bison (Bovidae)")
    assert Taxonomy([("Bison", "Bison")]).label_of(("Bison",)) == "Bison [2]"


@given(taxonomies(), taxonomies())
def test_the_digest_tells_taxonomies_apart(first: Taxonomy, second: Taxonomy) -> None:
    assert (first.digest == second.digest) == (first == second)


# What is no tree


@pytest.mark.parametrize(
    ("paths", "ranks", "message"),
    [
        ([], (), "no leaf"),
        ([()], (), "a leaf has no name"),
        ([("a", "b"), ("a",)], (), "a is a leaf and has nodes below it; drop it"),
        ([("a",), ("a", "b", "c")], (), "a is a leaf and has nodes below it"),
        ([("a", "b"), ("c",), ("a", "b")], (), "the leaf a > b stands twice"),
        ([("a", "")], (), "the name of a node or rank is no label: a label is empty"),
        ([("a\tb",)], (), "control character"),
        ([("a", "b")], ("genus",), "1 ranks for 2 levels"),
        ([("a", "b")], ("genus", " "), "the name of a node or rank is no label"),
    ],
)
def test_what_is_no_tree_is_refused(paths, ranks, message) -> None:
    with pytest.raises(TaxonomyError, match=message):
        Taxonomy(paths, ranks)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: CRANES.children(("bird",)), "there is no node bird"),
        (lambda: CRANES.parent(()), "the root has no parent"),
        (lambda: CRANES.level(5), "no level 5; levels are 1 to 4"),
        (lambda: CRANES.level(0), "no level 0"),
        (lambda: CRANES.path_of("crane"), "'crane' is no node .*did you mean 'crane \\(bird\\)'"),
        (lambda: CRANES.leaves_of(["heron", "bird"]), "label 'bird' is no leaf of the taxonomy \\(5 leaves\\)"),
    ],
)
def test_what_is_not_there_is_said(ask, message) -> None:
    with pytest.raises(TaxonomyError, match=message):
        ask()


def test_networkx_is_imported_for_graphs_alone() -> None:
    code = "import sys, vlmkit; vlmkit.Taxonomy([('a', 'b')]).labels; sys.exit('networkx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
