"""Taxonomies on the command line and in Python: where they come from, and what a run keeps of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vlmkit import Pipeline, Taxonomy
from vlmkit.errors import TaxonomyError
from vlmkit.runs import Record, from_json
from vlmkit.taxonomy import read_taxonomy, write_taxonomy
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_glyphs.names import GLYPHS

GLYPH_RUN = ("run", "glyphs:labels=20,images=4")
SCRIPTED = (*GLYPH_RUN, "--model", "scripted")


def records(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


def error_of(result) -> str:
    assert result.returncode == 2, result.stderr
    return result.stderr.removeprefix("error: ").strip()


@pytest.fixture
def by_colour(tmp_path: Path) -> Path:
    """Write another tree over the same glyphs, by colour."""
    names = Glyphs(labels=20, images=4).labels.names
    tree = Taxonomy(((GLYPHS[name].colour_family, GLYPHS[name].colour, name) for name in names), root="everything")
    write_taxonomy(tree, tmp_path / "colours.csv")
    return tmp_path / "colours.csv"


def test_the_tree_of_a_data_set_is_descended_and_kept(vlmkit_here, tmp_path: Path) -> None:
    result = vlmkit_here(*GLYPH_RUN, "--strategy", "tree:descend=full", "--output", "run", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["metrics"]["accuracy"]["value"] >= 0.75
    tree = read_taxonomy(tmp_path / "run" / "taxonomy.json")
    data = Glyphs(labels=20, images=4)
    assert (tree.paths, tree.root) == (data.taxonomy.paths, "glyph")
    for record in records(tmp_path / "run"):
        assert tuple(record["path"]) == tree.path_of(record["label"])
        assert len(record["ranking"]) == 10
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert "taxonomy" not in manifest["fingerprint"]
    assert manifest["taxonomy"]["sha256"] == data.taxonomy.digest
    assert manifest["taxonomy"]["ranks"] == ["shape family", "shape", "textured shape", "glyph"]


def test_a_given_tree_brings_the_labels_and_marks_the_run(vlmkit_here, by_colour: Path, tmp_path: Path) -> None:
    run = (*SCRIPTED, "--strategy", "tree", "--output", tmp_path / "run")
    result = vlmkit_here(*run, "--taxonomy", by_colour)
    assert "taxonomy: 20 leaves, 3 levels; 'everything' is its root and no level" in result.stderr
    assert all(record["path"][0].endswith("colour") for record in records(tmp_path / "run"))
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["fingerprint"]["taxonomy"] == read_taxonomy(by_colour).digest
    assert "continuing" in vlmkit_here(*run, "--taxonomy", by_colour).stderr
    assert "belongs to another configuration: taxonomy was" in error_of(vlmkit_here(*run))


def test_labels_choose_among_the_leaves(vlmkit_here, by_colour: Path, tmp_path: Path) -> None:
    names = Glyphs(labels=20, images=4).labels.names
    (tmp_path / "all.txt").write_text("\n".join(reversed(names)), encoding="utf-8")
    (tmp_path / "more.txt").write_text("\n".join([*names, "red striped circles"]), encoding="utf-8")
    run = (*SCRIPTED, "--strategy", "tree", "--taxonomy", by_colour, "--quiet")
    assert vlmkit_here(*run, "--labels", tmp_path / "all.txt").returncode == 0
    message = error_of(vlmkit_here(*run, "--labels", tmp_path / "more.txt"))
    assert message.startswith("label 'red striped circles' is no leaf of the taxonomy (20 leaves)")


def test_labels_that_the_tree_of_the_data_set_lacks_leave_it_out(vlmkit_here, tmp_path: Path) -> None:
    names = Glyphs(labels=20, images=4).labels.names
    (tmp_path / "more.txt").write_text("\n".join([*names, "nothing at all"]), encoding="utf-8")
    run = (*SCRIPTED, "--labels", tmp_path / "more.txt", "--quiet", "--output", tmp_path / "run")
    assert vlmkit_here(*run).returncode == 0
    assert not (tmp_path / "run" / "taxonomy.json").exists()
    fresh = (*run[:-1], tmp_path / "other", "--strategy", "tree")
    assert error_of(vlmkit_here(*fresh)).startswith("strategy tree needs a taxonomy; give --taxonomy FILE")


def test_dci_groups_kin_and_a_plan_descends_too(vlmkit_here, by_colour: Path) -> None:
    run = (*SCRIPTED, "--strategy", "dci:grouping=taxonomy,group_size=5", "--taxonomy", by_colour)
    assert vlmkit_here(*run).returncode == 0
    result = vlmkit_here(
        "plan", "glyphs:labels=20,images=4", "--taxonomy", by_colour, "--strategy", "tree:descend=full", "--json"
    )
    plan = json.loads(result.stdout)["strategies"][0]
    tree = read_taxonomy(by_colour)
    forks = [node for node in ((), *tree.nodes) if len(tree.children(node)) > 1]
    assert plan["per_example"]["queries"] == len(forks)


def test_what_is_no_tree_ends_with_its_place(vlmkit_here, tmp_path: Path) -> None:
    path = tmp_path / "nodes.csv"
    path.write_text("id,parent\na,b\nb,a\n", encoding="utf-8")
    message = error_of(vlmkit_here(*SCRIPTED, "--strategy", "tree", "--taxonomy", f"parents:path={path}"))
    assert "nodes.csv, line" in message and "lies below itself" in message


def test_records_of_older_runs_have_no_path() -> None:
    old = {
        "id": "1.png", "label": "cat", "target": None, "correct": None, "ranking": [], "trace": [], "text": None,
        "usage": {}, "error": None,
    }  # fmt: skip
    assert from_json(old, Record).path == ()


def test_python_takes_a_tree_with_or_without_labels() -> None:
    data = Glyphs(labels=20, images=2)
    pictures = [example.images[0] for example in data]
    with Pipeline("scripted", "tree:descend=beam,beam=3") as pipeline:
        everything = list(pipeline.classify(pictures, taxonomy=data.taxonomy))
        assert [prediction.path[-1] for prediction in everything] == [prediction.label for prediction in everything]
        few = data.labels.names[:3]
        assert {prediction.label for prediction in pipeline.classify(pictures, few, taxonomy=data.taxonomy)} <= {*few}
        with pytest.raises(TaxonomyError, match="'cat' is no leaf"):
            list(pipeline.classify(pictures, ["cat"], taxonomy=data.taxonomy))
