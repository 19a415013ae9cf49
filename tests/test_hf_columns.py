import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vlmkit_hf
from vlmkit.errors import DataError, SpecError
from vlmkit.registry import Builder, Registry
from vlmkit.registry.source import dataset_spec
from vlmkit_hf.columns import Column, Roles
from vlmkit_hf.shards import Shards


@pytest.fixture(scope="module")
def registry():
    made = Registry("hf")
    vlmkit_hf.vlmkit_register(made)
    return made


@settings(max_examples=40)
@given(
    name=st.from_regex(r"[a-z][a-z0-9\-]{0,8}(/[a-z][a-z0-9_.\-]{0,8})?", fullmatch=True),
    split=st.from_regex(r"[a-z]{1,6}(\[[0-9]{0,3}%?:[0-9]{0,3}%?\]|\+[a-z]{1,4})?", fullmatch=True),
    options=st.dictionaries(
        st.sampled_from(["image", "target", "config"]), st.from_regex(r"[a-z_.]{1,6}", fullmatch=True)
    ),
)
def test_name_and_split_may_stand_without_their_keys(registry, name, split, options):
    text = ",".join([f"hf:{name}:{split}", *(f"{key}={value}" for key, value in options.items())])
    spec = dataset_spec(text, registry)
    assert dict(spec.options) == {"name": name, "split": split, **options}
    assert dataset_spec(str(spec), registry) == spec


def test_an_option_stands_once(registry):
    with pytest.raises(DataError, match="gives split twice; keep one"):
        dataset_spec("hf:some:test,split=train", registry)
    assert dict(dataset_spec("hf:some,split=train", registry).options) == {"name": "some", "split": "train"}


def columns(**kinds):
    names = {"class": ("crane", "heron")}
    return [Column(tuple(name.split("__")), kind, kind, names.get(kind, ())) for name, kind in kinds.items()]


@pytest.mark.parametrize(
    ("there", "asked", "roles"),
    [
        ({"picture": "image", "fine": "class", "note": "text"}, {}, ("picture", "fine", None)),
        ({"image": "image", "label": "number", "note": "text"}, {}, ("image", "label", None)),
        ({"image": "image", "note": "text"}, {}, ("image", "note", None)),
        ({"jpg": "binary", "json__label": "text", "json__author": "text"}, {}, ("jpg", "json.label", None)),
        ({"raw": "binary", "image": "images"}, {}, ("image", None, None)),
        ({"image": "image", "question": "text", "answer": "text"}, {}, ("image", None, "question")),
        ({"image": "image", "question": "text", "label": "text"}, {"question": None}, ("image", "label", None)),
        ({"image": "image", "a": "text", "b": "text"}, {"target": "b"}, ("image", "b", None)),
        ({"image": "image", "a": "class", "b": "class"}, {"target": None}, ("image", None, None)),
    ],
)
def test_columns_are_found_by_type_and_name(there, asked, roles):
    found = Roles.of(columns(**there), "table t", **asked)
    assert (found.images[0].name, found.target and found.target.name, found.question and found.question.name) == roles


@pytest.mark.parametrize(
    ("there", "asked", "message"),
    [
        ({"left": "image", "right": "image"}, {}, r"2 columns that may be the image: left \(image\), right \(image\)"),
        ({"note": "text"}, {}, r"table t has no column of pictures, only note \(text\); give image=COL"),
        (
            {"image": "image", "a": "class", "b": "class"},
            {},
            "may be the target: a .*choose with target=a, or target=none",
        ),
        ({"image": "image", "a": "text", "b": "text"}, {}, "2 columns that may be the target"),
        ({"image": "image", "note": "text"}, {"image": ["note"]}, r"text in column 'note'.* these can be: image"),
        (
            {"image": "image", "n": "other"},
            {"target": "n"},
            "other in column 'n', which was to be the target; leave it out",
        ),
        (
            {"image": "image", "a": "text"},
            {"id": "b"},
            r"no column 'b', which was to be the id; these can be: a \(text\)",
        ),
    ],
)
def test_a_column_that_is_unclear_or_wrong_is_refused(there, asked, message):
    with pytest.raises(DataError, match=message):
        Roles.of(columns(**there), "table t", **asked)


@settings(max_examples=25)
@given(first=st.integers(0, 30), more=st.integers(0, 12), width=st.integers(1, 4))
def test_braces_count_as_in_a_shell(tmp_path_factory, first, more, width):
    folder = tmp_path_factory.mktemp("shards")
    names = [f"{part}-{number:0{width}d}.tar" for part in ("x", "y") for number in range(first, first + more + 1)]
    for name in names:
        (folder / name).touch()
    found = Shards(folder / f"{{x,y}}-{{{first:0{width}d}..{first + more}}}.tar")
    assert [found.name(file) for file in found.files] == names


def test_spec_errors_name_the_option(registry):
    with pytest.raises(SpecError, match="streaming=maybe is no good; expected true or false"):
        Builder(registry).dataset(dataset_spec("hf:some:test,streaming=maybe", registry))
