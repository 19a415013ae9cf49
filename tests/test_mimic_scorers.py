import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmkit_mimic.benchmark import Item
from vlmkit_mimic.plurals import plural
from vlmkit_mimic.reading import NUMBER_WORDS, Vocabulary, numbers
from vlmkit_mimic.scorers import Score, published, strict

CLASSES = ("cat", "dog", "hot dog", "person", "wine glass", "knife", "sheep")
WORDS = Vocabulary(CLASSES)


def item(task="common", answer=None, *, index=0, **factors):
    answer = answer or {"cat": 2}
    single = len(answer) == 1
    named = ", ".join(answer)
    counted = str(*answer.values()) if single else ", ".join(f"{name}: {number}" for name, number in answer.items())
    gt = counted if task == "counting" else named
    return Item(f"{task}-x/{index}@d", task, ("a",), "?", gt, answer, {"images": 2, **factors})


@pytest.mark.parametrize(
    ("name", "several"),
    [
        ("dog", "dogs"),
        ("wine glass", "wine glasses"),
        ("person", "people"),
        ("Snowman", "Snowmen"),
        ("butter knife", "butter knives"),
        ("sheep", "sheep"),
        ("skis", "skis"),
        ("Salt and pepper shakers", "Salt and pepper shakers"),
        ("bus", "buses"),
        ("cherry", "cherries"),
        ("toy", "toys"),
        ("toothbrush", "toothbrushes"),
        ("red cross", "red crosses"),
    ],
)
def test_plurals(name, several):
    assert plural(name) == several


@given(st.sampled_from(sorted(NUMBER_WORDS)), st.sampled_from(["{}", "{}.", "There are {} of them", "**{}**", "({})"]))
def test_a_number_is_read_alike_in_words_and_in_digits(word, around):
    for written in (word, word.replace("-", " "), word.title(), NUMBER_WORDS[word]):
        assert [value for value, _ in numbers(around.format(written))] == [NUMBER_WORDS[word]]


@pytest.mark.parametrize("reply", ["3.5", "3D", "a3", "1,5", "sevenths", "none", ""])
def test_what_is_no_whole_number(reply):
    assert numbers(reply) == []


@given(st.lists(st.sampled_from(CLASSES), max_size=5), st.booleans(), st.booleans())
def test_names_are_read_in_any_case_and_number_and_never_inside_other_words(names, several, shout):
    written = ", ".join(plural(name) if several else name for name in names)
    read = WORDS.mentions(written.upper() if shout else written)
    assert [name for name, _ in read] == names
    assert not list(WORDS.mentions("cattle dogma concat knifes"))
    assert [name for name, _ in WORDS.mentions("hot-dogs and wine  glasses")] == ["hot dog", "wine glass"]


@pytest.mark.parametrize(
    ("reply", "careful", "released"),
    [
        ("3", True, True),
        (" 3. ", True, True),
        ("three", True, True),
        ("Three dogs.", True, False),
        ("3 dogs", True, True),
        ("There are 3 dogs in these 4 images.", True, True),
        ("In these 4 images there are 3 dogs.", True, False),
        ("dogs: 3", True, True),
        ("dog - 3, cat - 2", True, True),
        ("The answer is 3 or 4", False, True),
        ("3 dogs here and 1 dog there", False, True),
        ("13", False, False),
        ("3.5", False, False),
        ("a dog", False, False),
        ("no dogs", False, False),
        ("", False, False),
    ],
)
def test_counting(reply, careful, released):
    asked = item("counting", {"dog": 3})
    assert strict(asked, reply, WORDS) == Score.single(careful)
    assert published(asked, reply, WORDS) == Score.single(released)


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("dog: 2, cat: 1", True),
        ("2 dogs and one cat", True),
        ("A cat and two dogs", True),
        ("cats (1), dogs (2)", True),
        ("2, 1", True),
        ("1, 2", False),
        ("dog: 2", False),
        ("3", False),
        ("dog: 2, cat: 1, cat: 4", False),
    ],
)
def test_counting_several_classes(reply, right):
    asked = item("counting", {"dog": 2, "cat": 1})
    assert strict(asked, reply, WORDS).right is right
    assert published(asked, reply, WORDS) is None


@pytest.mark.parametrize(
    ("reply", "careful", "released"),
    [
        ("cat", True, True),
        ("Cats.", True, True),
        ("The object is a cat", True, True),
        ("cattle", False, True),
        ("cat and dog", False, True),
        ("dog", False, False),
        ("", False, False),
    ],
)
def test_common_and_odd_one(reply, careful, released):
    for task in ("common", "odd-one"):
        assert strict(item(task), reply, WORDS).right is careful
        assert published(item(task), reply, WORDS).right is released


@pytest.mark.parametrize(
    ("reply", "careful", "released"),
    [
        ("cat, dog", Score(True, 2, 2, 2), Score(True, 2, 2, 2)),
        ("Dogs and cats", Score(True, 2, 2, 2), Score(False, 0, 1, 2)),
        ("Animals: cat, dog.", Score(True, 2, 2, 2), Score(False, 0, 2, 2)),
        ("cat, cat, cat", Score(False, 1, 1, 2), Score(False, 1, 3, 2)),
        ("cat, dog, unicorn", Score(False, 2, 3, 2), Score(False, 2, 3, 2)),
        ("cat\n- dog\n- sheep", Score(False, 2, 3, 2), Score(False, 0, 1, 2)),
        ("hot dog", Score(False, 0, 1, 2), Score(False, 0, 1, 2)),
        ("None", Score(False, 0, 0, 2), Score(False, 0, 1, 2)),
    ],
)
def test_listing(reply, careful, released):
    asked = item("listing", {"cat": 1, "dog": 3})
    assert strict(asked, reply, WORDS) == careful
    assert published(asked, reply, WORDS) == released


@given(
    st.sets(st.sampled_from(CLASSES), min_size=1).flatmap(lambda names: st.permutations(sorted(names))),
    st.lists(st.sampled_from([", ", "\n- ", "; ", " and ", ", and "]), min_size=6, max_size=6),
    st.sampled_from(["{}", "{}.", "Visible: {}", "The {}"]),
    st.booleans(),
)
def test_a_right_list_is_right_however_it_is_written(names, separators, around, several):
    asked = item("listing", dict.fromkeys(sorted(names), 1))
    written = [plural(name) if several else name.title() for name in names]
    listed = "".join(f"{name}{separator}" for name, separator in zip(written[:-1], separators, strict=False))
    reply = around.format(listed + written[-1])
    assert strict(asked, reply, WORDS) == Score(True, len(names), len(names), len(names))
    for more in {*CLASSES, "unicorn"} - {*names}:
        assert strict(asked, f"{reply}, {more}", WORDS) == Score(False, len(names), len(names) + 1, len(names))
