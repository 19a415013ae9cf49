"""How labels are cut into groups, and the files that say how alike they are."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmkit import Classify, Image, Label, Taxonomy
from vlmkit.errors import DataError, TaxonomyError
from vlmkit_strategies.dci import DCI
from vlmkit_strategies.grouping import Similarity, partition

PICTURE = Image(PIL.Image.new("RGB", (2, 2)))


def names(count: int) -> list[str]:
    return [f"label {number}" for number in range(count)]


def first_groups(dci: DCI, labels: list[str]) -> list[set[str]]:
    """Return what the questions of the first round offer."""
    queries = next(dci.solve(Classify(images=(PICTURE,), labels=labels)))
    return [{option.name for option in query.options} for query in queries]


@st.composite
def similarities(draw: st.DrawFn) -> Similarity:
    count = draw(st.integers(1, 25))
    matrix = np.random.default_rng(draw(st.integers(0, 99))).normal(size=(count, count))
    return Similarity("drawn", {name: row for row, name in enumerate(names(count))}, matrix)


@given(
    similarity=similarities(),
    size=st.integers(2, 9),
    grouping=st.sampled_from(["random", "list", "most-similar", "least-similar", "taxonomy"]),
    rng=st.randoms(use_true_random=False),
)
def test_every_label_is_in_one_group_and_all_groups_but_the_last_are_full(similarity, size, grouping, rng) -> None:
    labels = [Label(name) for name in similarity.position]
    taxonomy = Taxonomy((f"family {len(label.name) % 2}", label.name) for label in labels)
    groups = partition(labels, size, grouping=grouping, rng=rng, similarity=similarity, taxonomy=taxonomy)
    assert sorted(label.name for group in groups for label in group) == sorted(similarity.position)
    assert all(len(group) == size for group in groups[:-1])
    assert 1 <= len(groups[-1]) <= size


FAMILIES = ["cat", "oak", "tiger", "elm", "lion", "ash"]


def family_matrix() -> np.ndarray:
    tree = np.array(["oak elm ash".find(name) >= 0 for name in FAMILIES])
    return (tree[:, None] == tree[None, :]).astype(float)


def test_kin_meet_in_a_group() -> None:
    taxonomy = Taxonomy(("tree" if name in "oak elm ash" else "cats", name) for name in FAMILIES)
    dci = DCI(group_size=3, grouping="taxonomy")
    queries = next(dci.solve(Classify(images=(PICTURE,), labels=FAMILIES, taxonomy=taxonomy)))
    assert [[option.name for option in query.options] for query in queries] == [
        ["cat", "tiger", "lion"],
        ["oak", "elm", "ash"],
    ]
    with pytest.raises(TaxonomyError, match="grouping=taxonomy needs a taxonomy"):
        first_groups(dci, FAMILIES)


@pytest.fixture(params=["npz", "csv"])
def similarity_file(request, tmp_path: Path) -> Path:
    path = tmp_path / f"similarity.{request.param}"
    if request.param == "npz":
        np.savez(path, names=np.array(FAMILIES), similarity=family_matrix().astype("float32"))
    else:
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([FAMILIES, *family_matrix().tolist()])
    return path


def test_similar_labels_meet_or_are_kept_apart(similarity_file) -> None:
    def groups(grouping, labels):
        return first_groups(DCI(group_size=3, grouping=grouping, similarity=similarity_file), labels)

    assert groups("most-similar", FAMILIES) == [{"cat", "tiger", "lion"}, {"oak", "elm", "ash"}]
    assert groups("most-similar", FAMILIES[::-1]) == [{"oak", "elm", "ash"}, {"cat", "tiger", "lion"}]
    assert groups("most-similar", FAMILIES[:5])[0] == {"cat", "tiger", "lion"}
    for group in groups("least-similar", FAMILIES):
        assert 1 <= len(group & {"cat", "tiger", "lion"}) <= 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b,c\n1,2,3\n", r"shape \[1, 3\] for 3 distinct names"),
        ("a,a\n1,2\n3,4\n", r"shape \[2, 2\] for 1 distinct names"),
        ("a,b\n1,x\n3,4\n", "cannot be read"),
        ("a,b\n1,nan\n3,4\n", "not finite"),
        ("a,b\n1,2\n3,4\n", "has no label 'label 0'"),
        (None, "cannot be read"),
    ],
)
def test_a_bad_similarity_file_is_the_users_error(content, message, tmp_path) -> None:
    path = tmp_path / "similarity.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        first_groups(DCI(group_size=2, grouping="most-similar", similarity=path), names(9))
