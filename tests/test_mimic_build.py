import itertools
import json
from collections import Counter
from random import Random

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vlmkit.errors import DataError, UserError
from vlmkit_mimic.benchmark import Benchmark, Settings
from vlmkit_mimic.build import Maker
from vlmkit_mimic.cells import ANY, TASKS, Cell, Sweeps
from vlmkit_mimic.collection import Annotations, Collection, Picture, Scene
from vlmkit_mimic.sources import build_source
from vlmkit_mimic.sources.glyphs import GlyphScenes
from vlmkit_mimic.tasks import Drawer, Infeasible

CLASSES = ("ant", "bee", "cat", "dog", "elk")
GROUPS = {"insect": ("ant", "bee"), "mammal": ("cat", "dog", "elk")}


def collections(largest):
    counts = st.dictionaries(st.sampled_from(CLASSES), st.integers(1, 3), max_size=3)
    return st.lists(counts, min_size=1, max_size=largest).map(
        lambda found: Collection(
            CLASSES, GROUPS, tuple(Picture(f"{index:02}", shown) for index, shown in enumerate(found)), {}
        )
    )


@st.composite
def cells(draw, largest=3):
    """Cells whose controls do not exclude each other."""
    task = draw(st.sampled_from(TASKS))
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


@given(collections(25), cells(), st.integers(0, 99))
def test_an_item_has_the_controls_asked_for_and_one_right_answer(collection, cell, seed):
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


@given(collections(6), cells())
def test_a_cell_of_one_class_is_infeasible_only_if_no_choice_of_pictures_fills_it(collection, cell):
    # Odd-one draws plainer pictures than the definition allows.
    assume(cell.classes == 1 and cell.task != "odd-one")
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
    keys = [cell.key for cell in Sweeps(images=(4,)).cells()]
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
    assert len(list(Sweeps(images=(2, 4), spread=(1, 2), distractors=(0, 2)).cells())) == 4 * 8


def made(tmp_path, name="made.jsonl", source="glyphs:pictures=300", **settings):
    output = tmp_path / name
    settings = Settings(**{"items": 3, **settings})
    Maker.of(source, settings, output=output).write(output)
    return output


def test_the_same_seed_makes_the_same_bytes_and_another_one_others(tmp_path):
    first = made(tmp_path, "a.jsonl", seed=1).read_bytes()
    assert made(tmp_path, "b.jsonl", seed=1).read_bytes() == first
    assert made(tmp_path, "b.jsonl", seed=2).read_bytes() != first


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


def test_the_boxes_of_glyphs_hold_what_is_drawn():
    scenes = GlyphScenes(12, objects=1, seed=4)
    for scene in scenes.annotations().scenes:
        ((_, area),) = scene.objects
        (drawn,) = scenes._objects(int(scene.name[-6:]))
        spot, pixels = drawn.spot, np.asarray(scenes.picture(scene.name), dtype=int)
        left, top, right, bottom = (
            round(edge)
            for edge in (spot.x - spot.radius, spot.y - spot.radius, spot.x + spot.radius, spot.y + spot.radius)
        )
        outside = np.ones(pixels.shape[:2], dtype=bool)
        outside[max(top - 1, 0) : bottom + 2, max(left - 1, 0) : right + 2] = False
        background = pixels[outside].mean()
        assert abs(pixels[outside] - background).max() < 60  # noise has a standard deviation of 8
        assert area == pytest.approx((2 * spot.radius) ** 2 / pixels[..., 0].size)


def test_a_scene_is_the_same_every_time_and_shows_all_its_objects():
    scenes = GlyphScenes(40, objects=4)
    several = [scene for scene in scenes.annotations().scenes if len(scene.objects) > 1]
    assert {len(scene.objects) for scene in several} == {2, 3, 4}
    picture = scenes.picture(several[0].name)
    assert picture.size == (96, 96) and picture.tobytes() == GlyphScenes(40).picture(several[0].name).tobytes()
    with pytest.raises(DataError, match="no picture 'scene-000040'"):
        scenes.picture("scene-000040")


def test_a_picture_with_one_small_object_is_left_out_as_a_whole():
    scenes = [Scene("a", [("cat", 0.5), ("cat", 0.04)]), Scene("b", [("cat", 0.05)]), Scene("c", [], "a crowd")]
    kept = Collection.of(Annotations(CLASSES, GROUPS, scenes), min_area=0.05)
    assert [picture.name for picture in kept.pictures] == ["b"]
    assert kept.dropped == {"a box below 0.05 of the picture": 1, "a crowd": 1}
    with pytest.raises(DataError, match="no usable picture"):
        Collection.of(Annotations(CLASSES, GROUPS, scenes), min_area=0.6)


def picture(path, boxes):
    image = PIL.Image.new("RGB", (80, 60))
    for colour, (x, y, width, height) in boxes:
        PIL.ImageDraw.Draw(image).rectangle((x, y, x + width - 1, y + height - 1), fill=colour)
    image.save(path)


@pytest.fixture
def coco(tmp_path):
    """Eight pictures of coloured boxes, in the format of COCO."""
    (tmp_path / "train").mkdir()
    shown = ["cat", "cat", "cat cat", "dog", "dog dog", "dog", "cat dog", "cup", "cup"]
    ids, colours = {"cat": 17, "dog": 18, "cup": 47}, {"cat": "red", "dog": "green", "cup": "blue"}
    content = {
        "info": {"year": 2017},
        "licenses": [],
        "images": [],
        "annotations": [],
        "categories": [
            {"supercategory": "cup" if name == "cup" else "animal", "id": ids[name], "name": name} for name in ids
        ],
    }
    for index, names in enumerate(shown):
        file = f"{index:012}.jpg"
        boxes = [(name, (place * 40.0, 10.0, 30.5, 40.0)) for place, name in enumerate(names.split())]
        picture(tmp_path / "train" / file, [(colours[name], box) for name, box in boxes])
        content["images"].append(
            {"license": 1, "file_name": file, "coco_url": "", "height": 60, "width": 80, "id": 100 + index}
        )
        for name, box in boxes:
            content["annotations"].append(
                {
                    "segmentation": [[0, 0, 1, 1, 2, 2]],
                    "area": 600.2,
                    "iscrowd": 0,
                    "image_id": 100 + index,
                    "bbox": list(box),
                    "category_id": ids[name],
                    "id": 1000 + len(content["annotations"]),
                }
            )

    def write(change=lambda content: None):
        change(content)
        (tmp_path / "instances.json").write_text(json.dumps(content))
        return f"coco:annotations={tmp_path / 'instances.json'},images={tmp_path / 'train'}"

    return write


def test_coco(coco, tmp_path):
    source = coco()
    read = Benchmark.read(made(tmp_path, source=source, items=20, sweeps=Sweeps(images=(2, 3), totals=(2,))))
    assert read.header.classes == ("cat", "dog", "cup")
    assert read.header.pictures == 9 and read.header.images == "train"
    assert {item.task for item in read.items} == set(TASKS)
    built = build_source(source)
    for item in read.items:
        if item.task == "counting":
            (name,) = item.answer
            colour = {"cat": (254, 0, 0), "dog": (0, 128, 0), "cup": (0, 0, 254)}[name]
            seen = 0
            for file in item.images:
                with PIL.Image.open(built.picture(file)) as image:
                    near = np.abs(np.asarray(image, dtype=int) - colour).sum(axis=2) < 60
                seen += round(near.sum() / 1220)
            assert seen == item.answer[name]


def test_coco_pictures_with_crowds_small_boxes_or_without_a_file_are_left_out(coco, tmp_path):
    def change(content):
        content["annotations"][0]["iscrowd"] = 1
        content["annotations"][1]["bbox"] = [0, 0, 10, 10]
        content["images"][2]["file_name"] = "absent.jpg"

    source = coco(change)
    kept = Collection.of(build_source(source).annotations(), min_area=0.05)
    assert len(kept.pictures) == 6
    assert kept.dropped == {
        "a box below 0.05 of the picture": 1,
        "a crowd": 1,
        "no file in the image folder": 1,
    }


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.pop("annotations"), "there is no list annotations"),
        (lambda c: c["annotations"].insert(3, 7), "annotations[3]: expected an object"),
        (lambda c: c["annotations"][2].update(bbox=[1, 2, 3]), "annotations[2].bbox: it is no list of x, y, width"),
        (lambda c: c["annotations"][2].update(bbox=[1, 2, -3, 4]), "annotations[2].bbox: width or height is below 0"),
        (lambda c: c["annotations"][4].update(image_id=7), "annotations[4].image_id: 7 is no id of images"),
        (lambda c: c["annotations"][4].update(category_id=[]), "annotations[4].category_id: [] is no id of categories"),
        (lambda c: c["images"][1].update(id=100), "images[1].id: id 100 stands twice"),
        (lambda c: c["images"][1].update(width="80"), "images[1]: width is no number"),
        (lambda c: c["images"][1].update(height=0), "images[1]: width and height are not above 0"),
        (lambda c: c["images"][1].pop("file_name"), "images[1]: file_name is no text"),
        (lambda c: c["categories"][1].update(name="cat"), "categories[1].name: category 'cat' stands twice"),
        (lambda c: c["categories"][1].update(id="x"), "categories[1]: id is no whole number"),
    ],
)
def test_broken_coco_names_the_file_and_the_entry(coco, change, says, tmp_path):
    with pytest.raises(DataError) as caught:
        build_source(coco(change)).annotations()
    assert f"COCO file {tmp_path / 'instances.json'}, " in caught.value.message
    assert says in caught.value.message and caught.value.hint


@pytest.fixture
def openimages(tmp_path):
    """Six pictures in the format of Open Images, release 7."""
    (tmp_path / "validation").mkdir()
    (tmp_path / "classes.csv").write_text(
        "LabelName,DisplayName\n/m/01yrx,Cat\n/m/0bt9lr,Dog\n/m/0jbk,Animal\n/m/x,Cup\n"
    )
    hierarchy = {
        "LabelName": "/m/0bl9f",
        "Subcategory": [
            {"LabelName": "/m/0jbk", "Subcategory": [{"LabelName": "/m/01yrx"}, {"LabelName": "/m/0bt9lr"}]},
            {"LabelName": "/m/x", "Part": [{"LabelName": "/m/y"}]},
        ],
    }
    (tmp_path / "hierarchy.json").write_text(json.dumps(hierarchy))
    lines = [
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
    ]
    shown = {"a": "01yrx", "b": "01yrx 01yrx", "c": "0bt9lr", "d": "0bt9lr 0bt9lr", "e": "x", "f": "x", "g": "0jbk"}
    for name, labels in shown.items():
        picture(tmp_path / "validation" / f"{name}.jpg", [])
        lines += [f"{name},xclick,/m/{label},1,0.1,0.6,0.25,0.5,0,0,0,0,0" for label in labels.split()]
    lines.append("a,activemil,/m/01yrx,1,0.1,0.6,0.25,0.5,0,0,1,0,0")

    def write(change=lambda lines: None):
        change(lines)
        (tmp_path / "boxes.csv").write_text("\n".join(lines) + "\n")
        return "openimages:" + ",".join(
            f"{key}={tmp_path / name}"
            for key, name in {
                "classes": "classes.csv",
                "boxes": "boxes.csv",
                "images": "validation",
                "hierarchy": "hierarchy.json",
            }.items()
        )

    return write


def test_openimages(openimages, tmp_path):
    source = openimages()
    kept = Collection.of(build_source(source).annotations(), min_area=0.05)
    assert kept.classes == ("Cat", "Dog", "Cup") and kept.groups == {"Animal": ("Cat", "Dog")}
    assert {picture.name: dict(picture.counts) for picture in kept.pictures} == {
        "b.jpg": {"Cat": 2},
        "c.jpg": {"Dog": 1},
        "d.jpg": {"Dog": 2},
        "e.jpg": {"Cup": 1},
        "f.jpg": {"Cup": 1},
    }
    assert kept.dropped == {"a box of a super-category": 1, "a group of objects": 1}
    sweeps = Sweeps(("counting", "listing"), images=(2,), totals=(2,))
    read = Benchmark.read(made(tmp_path, source=source, items=5, sweeps=sweeps))
    assert {item.group for item in read.items if item.task == "listing"} == {"Animal"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows.__setitem__(0, "ImageID,LabelName"), "boxes.csv, line 1: no column is called XMin"),
        (lambda rows: rows.__setitem__(2, "a,b"), "boxes.csv, line 3: 2 cells, but the header has 13"),
        (lambda rows: rows.__setitem__(2, rows[2].replace("0.6", "wide")), "line 3: could not convert string to float"),
        (lambda rows: rows.__setitem__(2, rows[2].replace("0.6", "0.05")), "line 3: the box does not lie between"),
        (lambda rows: rows.__setitem__(2, rows[2].replace("/m/01yrx", "/m/q")), "line 3: class /m/q is not in classes"),
        (lambda rows: rows.__setitem__(2, '"a'), "line 11: broken CSV"),
    ],
)
def test_broken_boxes_name_the_file_and_the_line(openimages, change, says):
    with pytest.raises(DataError) as caught:
        build_source(openimages(change)).annotations()
    assert says in caught.value.message and caught.value.hint


def test_broken_class_names(openimages, tmp_path):
    source = openimages()
    for text, says in {"/m/1,Cat\n/m/1,Dog\n": "line 2: class /m/1", "Cat\n": "line 1: expected a class"}.items():
        (tmp_path / "classes.csv").write_text(text)
        with pytest.raises(DataError, match=says):
            build_source(source).annotations()


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
        (["glyphs", "--min-area", "x"], "'x' is no share such as 5%"),
        (["glyphs", "--min-area", "90%"], "the source has no usable picture"),
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


def test_own_wording(vlmkit_here, tmp_path):
    (tmp_path / "w.json").write_text('{"counting": ["Count {plurals}!", "{names}?"]}')
    done = vlmkit_here("mimic", "build", "glyphs", "--output", "b.jsonl", "--wording", "w.json", "--items", "9")
    assert done.returncode == 0, done.stderr
    asked = {item.question[-1] for item in Benchmark.read(tmp_path / "b.jsonl").items if item.task == "counting"}
    assert asked == {"!", "?"}
