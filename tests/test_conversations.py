"""The data set ``conversations``, and what of LLaVA's format it takes."""

from __future__ import annotations

import json

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmkit.errors import DataError
from vlmkit_train.conversations import Conversations
from vlmkit_train.dataset import ConversationQuestions


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with three pictures."""
    directory = tmp_path_factory.mktemp("data")
    for name in "abc":
        PIL.Image.new("RGB", (2, 2)).save(directory / f"{name}.png")
    return directory


@pytest.fixture
def write(folder):
    def written(*values, name="data.jsonl"):
        listed = json.dumps(values, indent=1) if name.endswith(".json") else "\n".join(map(json.dumps, values))
        (folder / name).write_text(listed, encoding="utf-8")
        return folder / name

    return written


def about(images, *turns, **more):
    said = [{"from": ("human", "gpt")[place % 2], "value": text} for place, text in enumerate(turns)]
    return {"image": images, "conversations": said, **more}


def test_every_turn_is_a_question_about_all_images(write, folder):
    path = write(
        about("a.png", "<image>\nWhat?", " a cat ", id="one"),
        about(["a.png", "b.png"], "Both?\n<image> <image>", "yes", "Sure?", "no", id="two"),
        about(["c.png"], "Which? <image>", "c"),
    )
    data = ConversationQuestions(path)
    assert len(data) == 4 and len(data.labels) == 0
    found = [(one.id, [path.name for path in one.images], one.question, one.target) for one in data]
    assert found == [
        ("one", ["a.png"], "What?", "a cat"),
        ("two#1", ["a.png", "b.png"], "Both?", "yes"),
        ("two#2", ["a.png", "b.png"], "Sure?", "no"),
        ("line 3", ["c.png"], "Which?", "c"),
    ]


REFUSED = {
    "no image": (about([], "What?", "this"), "it shows no image"),
    "between": (about(["a.png", "b.png"], "<image> and <image>?", "this"), "there are words between its images"),
    "both sides": (about(["a.png"], "Is <image> red?", "this"), "or on both sides of them"),
    "nothing": (about(["a.png"], "<image>\n", "this"), "a turn asks nothing"),
    "nothing later": (about(["a.png"], "<image> What?", "this", " ", "that"), "a turn asks nothing"),
    "system": (
        {
            "image": "a.png",
            "conversations": [{"from": "system", "value": "Be brief."}, *about([], "<image>?", "b")["conversations"]],
        },
        "it begins with a system turn",
    ),
    "no picture": (about(["z.png"], "<image>?", "b"), "there is no image .*z.png"),
    "no reply": (about(["a.png"], "<image>?"), "human and gpt do not speak by turns"),
}


@pytest.mark.parametrize(("name", "place"), [("data.jsonl", "line 2"), ("data.json", "conversation 2")])
@pytest.mark.parametrize("refused", REFUSED)
def test_what_is_no_question_about_images_is_named_with_place_and_reason(refused, name, place, write):
    value, reason = REFUSED[refused]
    with pytest.raises(DataError, match=f"conversation file .*{name}, {place}: .*{reason}"):
        ConversationQuestions(write(about("a.png", "<image>?", "b"), value, name=name))


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=9).filter(
    lambda text: "<" not in text and text.strip()
)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5), st.sampled_from([None, 1]), st.booleans())
def test_a_list_reads_as_its_lines_do(folder, pairs, indent, mark):
    values = [about(["a.png"], f"<image>{asked}", reply, id=asked) for asked, reply in pairs]
    (folder / "l.jsonl").write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    listed = json.dumps(values, ensure_ascii=False, indent=indent)
    (folder / "l.json").write_text(listed, encoding="utf-8-sig" if mark else "utf-8")
    lines, elements = (Conversations.open(folder / f"l.{suffix}") for suffix in ("jsonl", "json"))
    assert [*lines] == [*elements] == [elements[index] for index in range(len(values))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "it is no list of conversations; name it FILE.jsonl if it has one a line"),
        ("[]", "holds no conversations"),
        ('[{"id": 1},\n{"id": }]', "line 2, column 8: broken JSON"),
        ("[[1]]", "conversation 1: it is no JSON object"),
    ],
)
def test_a_list_that_is_none(text, message, folder):
    (folder / "wrong.json").write_text(text)
    with pytest.raises(DataError, match=message):
        Conversations.open(folder / "wrong.json")


def test_the_folder_of_images_can_be_named(write, folder, tmp_path):
    path = write(about("a.png", "<image>?", "b"))
    moved = path.rename(tmp_path / "moved.jsonl")
    (example,) = ConversationQuestions(moved, folder)
    assert example.images == (folder / "a.png",)
    with pytest.raises(DataError, match="there is no image"):
        ConversationQuestions(moved)
