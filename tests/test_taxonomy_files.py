"""Taxonomies in files: every format read, three of them written, and what is wrong said with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vlmkit import Taxonomy
from vlmkit.errors import TaxonomyError, UserError
from vlmkit.registry import Builder, PluginHost
from vlmkit.taxonomy import FORMATS, read_taxonomy, write_taxonomy
from vlmkit.testing.strategies import taxonomies

EXCERPTS = Path(__file__).parent / "excerpts"
"""A few lines each in the formats of real files, cut to what a test needs."""

BUILDER = Builder(PluginHost.load().registry)

BIRDS = Taxonomy(
    [("bird", "wader", "crane"), ("bird", "wader", "heron"), ("bird", "owl"), ("mammal", "cat")], root="animal"
)


def file_of(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def in_tree_order(taxonomy: Taxonomy) -> tuple:
    return tuple(node for node in taxonomy.nodes if taxonomy.is_leaf(node))


# Round trips


@given(taxonomies(), st.sampled_from(["", "life"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_reads_back(tmp_path: Path, taxonomy: Taxonomy, root: str) -> None:
    taxonomy = Taxonomy(taxonomy.paths, taxonomy.ranks, root=root)
    write_taxonomy(taxonomy, tmp_path / "tree.json")
    assert read_taxonomy(tmp_path / "tree.json") == Taxonomy(taxonomy.paths)
    write_taxonomy(taxonomy, tmp_path / "tree.nwk")
    newick = read_taxonomy(tmp_path / "tree.nwk")
    assert (newick.paths, newick.root) == (in_tree_order(taxonomy), root)
    if all(name == name.strip() for path in taxonomy.paths for name in path):
        write_taxonomy(taxonomy, tmp_path / "tree.csv")
        assert read_taxonomy(tmp_path / "tree.csv") == taxonomy


@pytest.mark.parametrize("suffix", ["json", "csv", "nwk"])
def test_a_root_stays_a_root(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"birds.{suffix}"
    write_taxonomy(BIRDS, path)
    again = read_taxonomy(path)
    assert (again, again.root) == (BIRDS, "animal")


def test_csv_keeps_no_outer_blanks_and_folders_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(TaxonomyError, match="' cat' begins or ends with a blank"):
        write_taxonomy(Taxonomy([("a", " cat")]), tmp_path / "tree.csv")
    with pytest.raises(TaxonomyError, match=r"name a \.json, \.csv or \.nwk file"):
        write_taxonomy(BIRDS, tmp_path)
    with pytest.raises(TaxonomyError, match="cannot be written"):
        write_taxonomy(BIRDS, tmp_path / "no" / "tree.csv")


# The formats


def test_paths_drop_the_root_that_all_share(tmp_path: Path) -> None:
    released = {"cat": ["animal", "mammal", "cat"], "crane": ["animal", "bird", "crane"]}
    taxonomy = read_taxonomy(file_of(tmp_path, "a.json", json.dumps(released)))
    assert (taxonomy.paths, taxonomy.root) == ((("mammal", "cat"), ("bird", "crane")), "animal")
    # As in the released file for CUB-200, where orders come first.
    cub = {
        "Sayornis": ["Passeriformes", "Tyrannidae", "Sayornis", "Sayornis"],
        "Mallard": ["Anseriformes", "Anatidae", "Anas", "Mallard"],
    }
    taxonomy = read_taxonomy(file_of(tmp_path, "cub.json", json.dumps(cub, indent=4)))
    assert (taxonomy.root, taxonomy.depth, taxonomy.labels.names) == ("", 4, ("Sayornis", "Mallard"))
    rootless = {"cat": ["mammal", "cat"], "crane": ["bird", "crane"], "rock": ["rock"]}
    taxonomy = read_taxonomy(file_of(tmp_path, "b.json", json.dumps(rootless)))
    assert (taxonomy.depth, taxonomy.root, taxonomy.labels.names) == (2, "", ("cat", "crane", "rock"))


def test_a_table_has_ranks_and_may_be_ragged(tmp_path: Path) -> None:
    text = "order,family,genus\nGruiformes,Gruidae,Grus\nGruiformes,Rallidae\nStrigiformes,,\n"
    taxonomy = read_taxonomy(file_of(tmp_path, "birds.csv", text))
    assert taxonomy.paths == (("Gruiformes", "Gruidae", "Grus"), ("Gruiformes", "Rallidae"), ("Strigiformes",))
    assert taxonomy.ranks == ("order", "family", "genus")
    rooted = read_taxonomy(file_of(tmp_path, "rooted.csv", "kingdom,class\nAnimalia,Aves\nAnimalia,Mammalia\n"))
    assert (rooted.ranks, rooted.root, rooted.depth) == (("class",), "Animalia", 1)


def test_parents_may_share_names_and_stand_in_any_order(tmp_path: Path) -> None:
    text = "id,parent,name\n3,2,crane\n2,1,bird\n5,4,crane\n4,1,machine\n1,,thing\n"
    path = file_of(tmp_path, "nodes.csv", text)
    taxonomy = BUILDER.taxonomy(f"parents:path={path}")
    assert (taxonomy.labels.names, taxonomy.root) == (("crane (bird)", "crane (machine)"), "thing")


def test_newick_knows_quotes_lengths_comments_and_blanks(tmp_path: Path) -> None:
    text = "(\n ('grey heron':0.1[&x=1],common_crane:2e-3)'Adam''s waders':1,\n cat)animal;\n"
    taxonomy = read_taxonomy(file_of(tmp_path, "tree.nwk", text))
    assert taxonomy.paths == (("Adam's waders", "grey heron"), ("Adam's waders", "common crane"), ("cat",))
    assert taxonomy.root == "animal"


CATEGORIES = (EXCERPTS / "inaturalist.json").read_text(encoding="utf-8")


def test_inaturalist_has_seven_ranks(tmp_path: Path) -> None:
    taxonomy = BUILDER.taxonomy(f"inaturalist:path={file_of(tmp_path, 'val.json', CATEGORIES)}")
    assert taxonomy.ranks == ("kingdom", "phylum", "class", "order", "family", "genus", "species")
    assert taxonomy.labels.names == ("Lumbricus terrestris", "Lygodium japonicum")
    animals = json.dumps(json.loads(CATEGORIES)["categories"][:1])
    taxonomy = BUILDER.taxonomy(f"inaturalist:path={file_of(tmp_path, 'categories.json', animals)}")
    assert (taxonomy.ranks[0], taxonomy.root, taxonomy.depth) == ("phylum", "Animalia", 6)


DATA_NOUN = (EXCERPTS / "data.noun").read_text(encoding="utf-8")


@pytest.fixture
def wordnet(tmp_path: Path) -> Path:
    file_of(tmp_path, "data.noun", DATA_NOUN)
    return tmp_path


def synsets(folder: Path, *lines: str) -> Taxonomy:
    listed = file_of(folder, "synsets.txt", "\n".join(lines))
    return BUILDER.taxonomy(f'wordnet:path="{folder}",synsets="{listed}"')


def test_wordnet_is_cut_back_to_the_synsets(wordnet: Path) -> None:
    taxonomy = synsets(wordnet, "n02084071 dog, domestic dog", "n02012849", "n03126707\tcrane")
    assert taxonomy.root == "whole"
    assert taxonomy.paths == (
        ("animal", "canine", "dog"),
        ("animal", "wading bird", "crane"),
        ("artifact", "crane"),
    )
    assert taxonomy.labels.names == ("dog", "crane (wading bird)", "crane (artifact)")


def test_of_several_hypernyms_the_first_is_the_parent_and_instances_have_one_too(wordnet: Path) -> None:
    taxonomy = synsets(wordnet, "n09411430", "n02114367", "n02114712")
    assert taxonomy.root == "canine"
    assert taxonomy.paths == (("dog", "Rover"), ("wolf (n02114367)",), ("wolf (n02114712)",))
    assert synsets(wordnet, "n02084071").paths == (("dog",),)


def test_folders_are_read_in_sorted_order(tmp_path: Path) -> None:
    for name in ("b/y", "b/x", "a", ".hidden/z"):
        (tmp_path / "life" / name).mkdir(parents=True)
    file_of(tmp_path / "life" / "b", "picture.png", "")
    taxonomy = read_taxonomy(tmp_path / "life")
    assert (taxonomy.paths, taxonomy.root) == ((("a",), ("b", "x"), ("b", "y")), "life")


# What is wrong


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"cat": ["a", "cat"],\n "dog": ["a", "canine"]}', "line 2: the path of 'dog' ends in 'canine'"),
        ("a.json", '{"cat": ["a", "cat"],\n\n "dog": "a"}', "line 3: the path of 'dog' is no list"),
        ("a.json", '{"cat": ["a", "cat"],\n "a": ["a"]}', "line 2: 'a' is a leaf there, and 'a' > 'cat' in line 1"),
        ("a.json", '{"x": ["a", "x"],\n "x": ["b", "x"]}', "key 'x' stands twice"),
        ("a.json", '{"cat": ["a", "", "cat"]}', "line 1: the name of a node or rank is no label: a label is empty"),
        ("a.json", '{"cat": []}', "line 1: the path of 'cat' is empty"),
        ("a.json", "{\n]", "line 2, column 1: broken JSON"),
        ("a.json", "[]", "it is no JSON object"),
        ("a.json", "{}", "it holds no leaf"),
        ("a.json", CATEGORIES.split("\n", 1)[1].join("{ "), "read it as inaturalist:path=FILE"),
        ("a.csv", "x,y\na,b\n,c\n", "line 3: the cell under 'x' is empty"),
        ("a.csv", "x,y\na,b\nc,\na,b\n", "line 4: the leaf 'a' > 'b' stands there and in line 2"),
        ("a.csv", "x,y\na,b\nc,\na,\n", "line 4: 'a' is a leaf there"),
        ("a.csv", "x,\na,b\nb,c\n", "line 1: a column has no name"),
        ("a.csv", "id,parent\na,b\n", "read it as parents:path=FILE"),
        ("a.nwk", "(a,b)", "no semicolon"),
        ("a.nwk", "((a,b);", "line 1: a bracket opens and never closes"),
        ("a.nwk", "(a,\nb));", "line 2: a '\\)' stands outside"),
        ("a.nwk", "(a,\n(b,c))x;", "line 2: a node has no name"),
        ("a.nwk", "(a,,b)x;", "line 1: a node has no name"),
        ("a.nwk", "(a,\nb,\na)x;", "line 3: 'a' stands there and in line 1"),
        ("a.nwk", "(a b,c)x;", "the name 'b' follows the name 'a'"),
        ("a.nwk", "(a,b)x;(c,d)y;", "something follows"),
        ("a.nwk", "(a,'b)x;", 'a "\'" stands alone'),
        ("a.nwk", "a(b,c);", "a bracket opens where a comma is due"),
        ("a.txt", "cat", "its suffix does not say"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(TaxonomyError, match=message):
        read_taxonomy(file_of(tmp_path, name, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,parent\na,b\nb,c\nc,a\n", "line [234]: the node '[abc]' lies below itself: . > . > . > ."),
        ("id,parent\nr,\na,r\nb,r\na,b\n", "line 5: the node 'a' has the parent 'b' there and 'r' in line 3"),
        ("id,parent\nr,\na,r\na,r\n", "line 4: the node 'a' stands there and in line 3"),
        ("id,parent\nr,\na,x\n", "line 3: the parent 'x' has no row"),
        ("id,parent\nr,\n,r\n", "line 3: the node has no id"),
        ("id,parent,name\n1,,r\n2,1,cat\n3,1,cat\n", "line 4: 'cat' stands there and in line 3 below one parent"),
        ("id,name\n1,r\n", "no column is called parent"),
    ],
)
def test_cycles_and_second_parents_are_said_with_their_lines(tmp_path: Path, text: str, message: str) -> None:
    path = file_of(tmp_path, "nodes.csv", text)
    with pytest.raises(TaxonomyError, match=message):
        FORMATS["parents"].read(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"order": "Haplotaxida", ', ""), "line 3: category 0 has no order"),
        (('"name": "Lygodium japonicum"', '"name": ""'), "line 4: category 9999 has no name"),
        (('"categories"', '"kinds"'), "no list of categories"),
    ],
)
def test_incomplete_categories_are_said_with_their_lines(tmp_path: Path, change, message: str) -> None:
    path = file_of(tmp_path, "val.json", CATEGORIES.replace(*change))
    with pytest.raises(TaxonomyError, match=message):
        FORMATS["inaturalist"].read(path)


@pytest.mark.parametrize(
    ("change", "listed", "message"),
    [
        (("", ""), "n02084071\nn00000001", "synsets.txt, line 2: synset n00000001 is not in .*data.noun"),
        (("", ""), "n02084071\ndog", "line 2: 'dog' is no id"),
        (("", ""), "n02084071\n\nn02084071", "line 3: synset n02084071 stands there and in line 1"),
        (("", ""), "n02083346\nn02084071", "line 1: .* is a leaf there, and .* in line 2 lies below it"),
        (("", ""), "", "it lists no synset"),
        (("@ 00001740 n", "@ 02084071 n"), "n02084071", "data.noun, line .*: synset n02084071 lies below itself"),
        (("@ 00001740 n", "@ 00001741 n"), "n02084071", "data.noun, line 4: its hypernym n00001741 is missing"),
        (("n 03 dog", "n xx dog"), "n02084071", "data.noun, line 10: it is no synset"),
    ],
)
def test_broken_wordnets_and_lists_are_said_with_their_lines(wordnet: Path, change, listed: str, message: str) -> None:
    file_of(wordnet, "data.noun", DATA_NOUN.replace(*change))
    with pytest.raises(TaxonomyError, match=message):
        synsets(wordnet, listed)


def test_a_folder_that_links_back_is_a_cycle(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "back").symlink_to(tmp_path / "a")
    with pytest.raises(TaxonomyError, match="folder a/b/back: it links back"):
        read_taxonomy(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(TaxonomyError, match="it holds no leaf"):
        read_taxonomy(tmp_path / "empty")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no/such.json", "there is no file or folder no/such.json, and unknown format"),
        ("newik:path=x", "unknown format 'newik'; did you mean newick"),
        ("wordnet:path=x", "taxonomy wordnet needs synsets"),
        ("table:path=no.csv", "no.csv: there is no such file"),
        ("table:path=no.csv,rank=x", "unknown option 'rank' in taxonomy table"),
    ],
)
def test_mistakes_in_the_option_are_explained(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        BUILDER.taxonomy(text)
