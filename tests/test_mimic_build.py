import itertools
import json
from collections import Counter
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vlmkit.errors import DataError, UserError
from vlmkit_mimic.benchmark import Benchmark, Settings
from vlmkit_mimic.build import Maker
from vlmkit_mimic.cells import ANY, TASKS, Cell, Sweeps
from vlmkit_mimic.collection import Collection, Picture
from vlmkit_mimic.sources.glyphs import GlyphScenes
from vlmkit_mimic.tasks import Drawer, Infeasible

CLASSES = ("ant", "bee", "cat", "dog", "elk")
GROUPS = {"insect": ("ant", "bee"), "mammal": ("cat", "dog", "elk")}


@st.composite
def collections(draw, largest):
    """Pictures by a seed: those that hypothesis would make itself are mostly too few to fill a cell."""
    rng = Random(draw(st.integers(0, 2**32)))
    most = draw(st.integers(1, 3))
    found = []
    for index in range(draw(st.integers(1, largest))):
        kinds = rng.sample(CLASSES, rng.randint(0, most))
        found.append(Picture(f"{index:02}", {name: rng.randint(1, 3) for name in kinds}))
    return Collection(CLASSES, GROUPS, tuple(found), {})


@st.composite
def cells(draw, tasks, largest=3):
    """Cells whose controls do not exclude each other."""
    task = draw(st.sampled_from(tasks))
    spread = draw(st.integers(2 if task == "common" else 1, largest))
    fewest = {"common": 0, "odd-one": spread + 1}.get(task, 0)
    distractors = draw(st.integers(fewest, 0 if task == "common" else max(fewest, largest)))
    classes = draw(st.integers(1, 1 if task in ("common", "odd-one") else 3))
    total = draw(st.just(ANY) | st.integers(max(spread, classes), 7)) if task == "counting" else ANY
    cell = Cell(task, spread + distractors, spread, distractors, classes, total)
    assert not cell.conflict
    return cell


def asked_about(cell, collection, drawn):
    return set(collection.groups[drawn.group]) if cell.task == "listing" else {*drawn.answer}


def right_answers(cell, shown, about, names):
    """What is right by the definition of the task, from the pictures alone."""
    if cell.task == "counting":
        return {name: sum(picture.get(name, 0) for picture in shown) for name in names}
    seen = Counter(name for picture in shown for name in picture)
    if cell.task == "listing":
        return {*seen} & about
    if cell.task == "common":
        return {name for name in seen if seen[name] == len(shown)}
    return {name for name in seen if 2 * seen[name] < len(shown)}


@pytest.mark.parametrize("task", TASKS)
@given(collections(40), st.data(), st.integers(0, 99))
def test_an_item_has_the_controls_asked_for_and_one_right_answer(task, collection, data, seed):
    cell = data.draw(cells((task,)))
    try:
        drawn = Drawer(cell, collection, CLASSES).draw(Random(seed))
    except Infeasible as reason:
        assert str(reason)
        return
    places = [*drawn.showing, *drawn.distractors]
    shown = [collection.pictures[place].counts for place in places]
    about = asked_about(cell, collection, drawn)
    assert len(set(places)) == len(places) == cell.images
    assert len(drawn.showing) == cell.spread and len(drawn.distractors) == cell.distractors
    assert all(about & picture.keys() for picture in shown[: cell.spread])
    assert not any(about & picture.keys() for picture in shown[cell.spread :])
    assert len(drawn.answer) == cell.classes and all(drawn.answer.values())
    right = right_answers(cell, shown, about, drawn.answer)
    assert right == (drawn.answer if cell.task == "counting" else {*drawn.answer})
    if cell.total != ANY:
        assert sum(drawn.answer.values()) == cell.total
        parts = [sum(picture.get(name, 0) for name in about) for picture in shown[: cell.spread]]
        assert max(parts) - min(parts) <= 1


def possible(cell, collection):
    """Whether any choice of pictures fills a cell of one class, by trying all."""
    for chosen in itertools.combinations([picture.counts for picture in collection.pictures], cell.images):
        for group, members in {**GROUPS}.items() if cell.task == "listing" else [("", CLASSES)]:
            for name in members:
                about = {*members} if group else {name}
                right = right_answers(cell, chosen, about, [name])
                parts = [sum(picture.get(one, 0) for one in about) for picture in chosen]
                parts = [part for part in parts if part]
                balanced = not cell.total or (sum(parts) == cell.total and max(parts) - min(parts) <= 1)
                if len(parts) == cell.spread and balanced and (cell.task == "counting" or right == {name}):
                    return True
    return False


@given(collections(6), cells(("counting", "listing", "common")))
def test_a_cell_of_one_class_is_infeasible_only_if_no_choice_of_pictures_fills_it(collection, cell):
    # Odd-one is not among them: it draws plainer pictures than its definition asks for.
    assume(cell.classes == 1)
    try:
        Drawer(cell, collection, CLASSES).draw(Random(0))
    except Infeasible:
        assert not possible(cell, collection)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (Cell("counting", 4, 2, 1, 1, 4), "2 with instances and 1 distractors are not 4 images"),
        (Cell("counting", 2, 4, -2, 1, 4), "4 images with instances are more than 2 images"),
        (Cell("counting", 2, 0, 2, 1, 4), "2 distractors leave no image with instances"),
        (Cell("counting", 8, 8, 0, 1, 4), "4 instances are too few for 8 images"),
        (Cell("counting", 1, 1, 0, 3, 2), "2 instances are too few for 3 classes"),
        (Cell("common", 4, 2, 2, 1), "common has no distractors"),
        (Cell("common", 1, 1, 0, 1), "nothing in common"),
        (Cell("common", 2, 2, 0, 2), "common asks for one class"),
        (Cell("odd-one", 4, 2, 2, 1), "2 of 4 images are no minority"),
    ],
)
def test_conflicts(cell, reason):
    assert reason in cell.conflict


def test_sweeps_left_to_the_task():
    keys = [cell.key for cell in Sweeps(images=(4,), totals=(4,)).cells()]
    assert keys == [
        "counting-n4-s1-d3-c1-t4",
        "counting-n4-s2-d2-c1-t4",
        "counting-n4-s4-d0-c1-t4",
        "listing-n4-s1-d3-c2",
        "listing-n4-s2-d2-c2",
        "listing-n4-s4-d0-c2",
        "common-n4-s4-d0-c1",
        "odd-one-n4-s1-d3-c1",
    ]
    derived = Sweeps(tasks=("counting",), spread=(1, 2), distractors=(0, 3), totals=(ANY,))
    assert [cell.images for cell in derived.cells()] == [1, 4, 2, 5]
    assert len(list(Sweeps(images=(2, 4), spread=(1, 2), distractors=(0, 2), totals=(4,)).cells())) == 4 * 8


def made(tmp_path, name="made.jsonl", source="glyphs:pictures=300", **settings):
    output = tmp_path / name
    settings = Settings(**{"items": 3, **settings})
    Maker.of(source, settings, output=output).write(output)
    return output


def test_the_same_seed_makes_the_same_bytes_and_another_one_others(tmp_path):
    first = made(tmp_path, "a.jsonl", seed=1).read_bytes()
    assert made(tmp_path, "b.jsonl", seed=1).read_bytes() == first
    assert made(tmp_path, "b.jsonl", seed=2).read_bytes() != first


def test_the_bytes_do_not_depend_on_how_a_process_hashes(vlmkit, tmp_path):
    for name in ("1", "2"):
        arguments = ["mimic", "build", "glyphs:pictures=300", "--items", "3", "--classes", "1,2", "--output", name]
        assert vlmkit(*arguments, PYTHONHASHSEED=name).returncode == 0
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_the_header_alone_is_enough_to_build_the_file_again(tmp_path):
    first = made(
        tmp_path,
        source="glyphs:pictures=300,classes=colour-shape,seed=3",
        sweeps=Sweeps(("counting", "common"), images=(2, 3), totals=(2, ANY)),
        pool=30,
        seed=5,
        shuffle=False,
    )
    header = Benchmark.read(first).header
    again = tmp_path / "again.jsonl"
    Maker.of(header.source, header.settings, output=again).write(again)
    assert again.read_bytes() == first.read_bytes()


def test_classes_are_asked_about_equally_often(tmp_path):
    sweeps = Sweeps(("counting",), images=(2,), spread=(1,), totals=(2,))
    read = Benchmark.read(made(tmp_path, sweeps=sweeps, items=1000))
    asked = Counter(name for item in read.items for name in item.answer)
    assert len(asked) == 10 and max(asked.values()) < 2 * min(asked.values())


def test_a_pool_of_names_or_of_a_number(tmp_path):
    sweeps = Sweeps(("counting",), images=(2,))
    read = Benchmark.read(made(tmp_path, sweeps=sweeps, pool=("star", "moon"), items=20))
    assert {name for item in read.items for name in item.answer} == {"star", "moon"}
    read = Benchmark.read(made(tmp_path, sweeps=sweeps, pool=3, items=30))
    assert len({name for item in read.items for name in item.answer}) == 3
    with pytest.raises(UserError, match="unknown class 'stars'; did you mean star"):
        made(tmp_path, pool=("stars",))
    with pytest.raises(DataError, match="a pool of 11 from 10 classes"):
        made(tmp_path, pool=11)


def test_images_stand_in_random_order_or_those_with_instances_first(tmp_path):
    scenes = {scene.name: {name for name, _ in scene.objects} for scene in GlyphScenes(300).annotations().scenes}
    sweeps = Sweeps(("counting",), images=(4,), spread=(1,), totals=(2,))
    for shuffle in (False, True):
        read = Benchmark.read(made(tmp_path, sweeps=sweeps, shuffle=shuffle, items=60))
        first = [bool(scenes[item.images[0]] & item.answer.keys()) for item in read.items]
        assert all(first) if not shuffle else 5 < sum(first) < 30


def test_every_template_is_used_and_says_what_is_asked(tmp_path):
    read = Benchmark.read(made(tmp_path, items=60, sweeps=Sweeps(images=(4,), spread=(1, 4))))
    used = {(item.task, item.factors["wording"]) for item in read.items}
    assert used == {(task, index) for task in TASKS for index in range(4 if task == "counting" else 3)}
    for item in read.items:
        if item.task == "counting":
            (name,) = item.answer
            assert f"{name}s" in item.question or f"{name}es" in item.question
        if item.task == "listing":
            assert item.group in item.question


def test_the_command_builds_and_names_what_it_cannot_make(vlmkit_here, tmp_path):
    options = ["--images", "2,4", "--spread", "1,2,3", "--items", "2", "--total", "2"]
    done = vlmkit_here("mimic", "build", "glyphs:pictures=200", "--output", "b.jsonl", "--task", "counting", *options)
    assert done.returncode == 0, done.stderr
    assert "200 pictures read" in done.stderr and "10 items in 5 cells" not in done.stderr
    assert "counting-n2-s3-d-1-c1-t2" in done.stdout and "3 images with instances are more than 2 images" in done.stdout
    assert "counting-n4-s3-d1-c1-t2" in done.stdout and "2 instances are too few for 3 images" in done.stdout
    assert len(Benchmark.read(tmp_path / "b.jsonl").items) == 2 * 4
    done = vlmkit_here("mimic", "build", "glyphs:pictures=200", "--output", "b.jsonl", "--json", *options)
    report = json.loads(done.stdout)
    assert report["items"] == 2 * len(report["cells"]) and report["items_per_second"] > 0
    assert report["infeasible"]["odd-one-n2-s1-d1-c1"] == "1 of 2 images are no minority"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["glyph"], "unknown source 'glyph'; did you mean glyphs?"),
        (["coco:images=."], "source coco needs annotations; write coco:annotations=..."),
        (["coco:annotations=no.json,images=."], "COCO file no.json: there is no such file"),
        (["coco:annotations=no.json,images=no"], "there is no image folder no"),
        (["openimages:classes=no.csv,boxes=b,images=."], "Open Images file no.csv cannot be read"),
        (["glyphs", "--images", "two"], "'two' is neither a number nor a range"),
        (["glyphs", "--total", "any,0"], "0 is below 1"),
        (["glyphs", "--min-area", "x"], "'x' is no share such as 5%"),
        (["glyphs", "--min-area", "90%"], "the source has no usable picture"),
        (["glyphs", "--pool", "0"], "a pool of 0 from 10 classes; give another --pool"),
        (
            ["glyphs", "--task", "odd-one", "--images", "2"],
            "none of 1 cells can be made; the first: odd-one",
        ),
        (["glyphs", "--wording", "w.json"], "wording file w.json, counting[0]: it has the field {label}"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(vlmkit_here, tmp_path, arguments, says):
    (tmp_path / "w.json").write_text('{"counting": ["How many {label}?"]}')
    done = vlmkit_here("mimic", "build", *arguments, "--output", "b.jsonl")
    assert done.returncode == 2 and not done.stdout and done.stderr.count("\n") == 1
    assert says in done.stderr
    assert not (tmp_path / "b.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["counting", "--classes", "11"], "the pool has fewer than 11 classes"),
        (["listing", "--classes", "5"], "every super-category has fewer than 5 classes"),
        (["counting", "--classes", "5", "--spread", "1"], "no picture shows 5 classes together"),
        (["counting", "--total", "9", "--spread", "1"], "no 1 pictures show the classes in the numbers asked for"),
        (["common", "--images", "301"], "fewer than 301 pictures show the class"),
    ],
)
def test_what_pictures_lack_is_said(vlmkit_here, options, reason):
    arguments = ["--images", "2", "--total", "any", "--task", *options]
    done = vlmkit_here("mimic", "build", "glyphs:pictures=300", "--output", "b.jsonl", *arguments)
    assert done.returncode == 2 and reason in done.stderr


def test_own_wording(vlmkit_here, tmp_path):
    (tmp_path / "w.json").write_text('{"counting": ["Count {plurals}!", "{names}?"]}')
    done = vlmkit_here("mimic", "build", "glyphs", "--output", "b.jsonl", "--wording", "w.json", "--items", "9")
    assert done.returncode == 0, done.stderr
    asked = {item.question[-1] for item in Benchmark.read(tmp_path / "b.jsonl").items if item.task == "counting"}
    assert asked == {"!", "?"}
