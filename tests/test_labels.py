import csv
import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmkit.data.labels import read_labels
from vlmkit.errors import LabelError
from vlmkit.types import Label, LabelSpace

# U+FEFF at the start of a file is the byte-order mark and no part of a name.
VISIBLE = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs"), exclude_characters="\ufeff")
NAMES = st.text(st.one_of(VISIBLE, st.just(" ")), min_size=1, max_size=30).map(str.strip).filter(bool)
# A "|" separates synonyms in CSV; elsewhere it is an ordinary character.
SYNONYMS = st.lists(NAMES.filter(lambda name: "|" not in name), max_size=3)
LABELS = st.lists(st.builds(Label, NAMES, st.none() | NAMES, SYNONYMS), min_size=1, max_size=8, unique_by=str)


def write(path, text, **options):
    path.write_text(text, encoding="utf-8", newline="", **options)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("labels")


@given(names=st.lists(NAMES, min_size=1, max_size=8, unique=True), end=st.sampled_from(["\n", "\r\n", "\r", "\n\n \n"]))
def test_text_reads_back(folder, names, end):
    for mark in ("", "\ufeff"):
        path = write(folder / "labels.txt", mark + end.join(names) + end)
        assert read_labels(path).names == tuple(names)


@given(labels=LABELS)
def test_json_reads_back_in_all_its_forms(folder, labels):
    details = [{"description": label.description, "synonyms": list(label.synonyms)} for label in labels]
    listed = [{"name": label.name, **detail} for label, detail in zip(labels, details, strict=True)]
    keyed = {label.name: detail for label, detail in zip(labels, details, strict=True)}
    for content in (listed, keyed):
        path = write(folder / "labels.json", json.dumps(content))
        assert read_labels(path) == LabelSpace(labels)
    described = {label.name: label.description for label in labels}
    assert read_labels(write(path, json.dumps(described))) == LabelSpace(
        [Label(label.name, label.description) for label in labels]
    )
    names = [label.name for label in labels]
    assert read_labels(write(path, json.dumps(names))) == LabelSpace(names)


@given(labels=LABELS)
def test_csv_reads_back(folder, labels):
    path = folder / "labels.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, ["description", "Name", "id", "synonyms"])
        writer.writeheader()
        for number, label in enumerate(labels):
            writer.writerow(
                {
                    "Name": label.name,
                    "description": label.description,
                    "synonyms": " | ".join(label.synonyms),
                    "id": number,
                }
            )
    assert read_labels(path) == LabelSpace(labels)


@given(names=st.lists(NAMES, unique=True, max_size=8))
def test_a_label_space_is_the_sequence_it_was_made_of(names):
    space = LabelSpace(names)
    assert space.names == tuple(names) and len(space) == len(names)
    assert LabelSpace(space) == space and space[:] == space
    assert all(name in space and space.label(name) == space[place] for place, name in enumerate(names))
    if names:
        with pytest.raises(LabelError, match="stands twice, at positions 1 and"):
            LabelSpace([*names, names[0]])


@given(names=st.lists(st.text(string.ascii_letters, min_size=1, max_size=2), unique=True, max_size=12))
def test_collisions_are_exactly_the_names_that_fold_together(names):
    colliding = {name for group in LabelSpace(names).collisions for name in group}
    assert colliding == {name for name in names if sum(name.lower() == other.lower() for other in names) > 1}


def test_names_with_commas_and_case_collisions_are_legal(tmp_path):
    space = read_labels(write(tmp_path / "labels.txt", "Paris, France\nCrane\ncrane\n"))
    assert space.names == ("Paris, France", "Crane", "crane")
    assert space.collisions == (("Crane", "crane"),)


def test_names_are_trimmed_inside_they_stay_as_they_are(tmp_path):
    assert read_labels(write(tmp_path / "labels.txt", "\t two  blanks \n")).names == ("two  blanks",)


def test_numbers_are_names(tmp_path):
    assert read_labels(write(tmp_path / "labels.json", "[0, 1]")).names == ("0", "1")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", "cat\n\ndog\ncat\n", "line 4: label 'cat' stands there and in line 1"),
        ("a.txt", "cat\n" + "x" * 10_000, "line 2: label 'xxxx"),
        ("a.txt", "c\x07t\n", "line 1: label 'c\\x07t' holds"),
        ("a.txt", " \n\n", "a.txt: it holds no labels"),
        ("a.txt", "", "a.txt: it holds no labels"),
        ("a.yaml", "cat", "a.yaml: its suffix does not say"),
        ("a.csv", "name\ncat\ndog\ncat\n", "line 4: label 'cat' stands there and in line 2"),
        ("a.csv", "name,description\n,furry\n", "line 2: a label is empty"),
        ("a.csv", "label,description\ncat,furry\n", "line 1: no column is called name; found: label, description"),
        ("a.csv", "", "no column is called name; found: none"),
        ("a.csv", "name\nParis, France\n", "line 2: 2 cells, but the header has 1"),
        ("a.csv", 'name\n"cat\n', "broken CSV"),
        ("a.csv", "name\n", "it holds no labels"),
        ("a.json", '["cat",\n "dog"', "line 2, column 7: broken JSON"),
        ("a.json", '["cat", "dog", "cat"]', "entry 3: label 'cat' stands there and in entry 1"),
        ("a.json", '{"cat": "furry", "cat": "small"}', "key 'cat' stands twice"),
        ("a.json", '["cat", ""]', "entry 2: a label is empty"),
        ("a.json", '["cat", true]', "entry 2: name is not a text"),
        ("a.json", '[{"description": "furry"}]', "entry 1: name is missing"),
        ("a.json", '[{"name": "cat", "synonym": ["puss"]}]', "entry 1: unknown key synonym"),
        ("a.json", '[{"name": "cat", "synonyms": "puss"}]', "entry 1: synonyms is not a list of texts"),
        ("a.json", '{"cat": {"name": "dog"}}', "label 'cat': it is named twice"),
        ("a.json", '["\\ud800"]', "entry 1: label '\\ud800' is not valid Unicode"),
        ("a.json", "17", "expected a list or an object"),
        ("a.json", "[" * 100_000, "the nesting too deep"),
        ("a.json", "[]", "it holds no labels"),
    ],
)
def test_mistakes_are_named_with_their_place(name, content, says, tmp_path):
    with pytest.raises(LabelError) as caught:
        read_labels(write(tmp_path / name, content))
    assert says in caught.value.message
    assert str(tmp_path / name) in caught.value.message and caught.value.hint
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["txt", "csv", "json"])
def test_files_that_cannot_be_read(suffix, tmp_path):
    path = tmp_path / f"labels.{suffix}"
    with pytest.raises(LabelError, match="there is no such file"):
        read_labels(path)
    path.write_bytes(b"name\n\xffcat")
    with pytest.raises(LabelError, match=r"line 2: byte 6 \(0xff\) is not UTF-8"):
        read_labels(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(LabelError, match="it is a folder"):
        read_labels(path)
