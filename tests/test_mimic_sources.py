import json

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest

from vlmkit.errors import DataError
from vlmkit_mimic.benchmark import Benchmark, Settings
from vlmkit_mimic.build import Maker
from vlmkit_mimic.cells import TASKS, Sweeps
from vlmkit_mimic.collection import Annotations, Collection, Scene
from vlmkit_mimic.sources import build_source
from vlmkit_mimic.sources.glyphs import GlyphScenes


def made(tmp_path, source, **settings):
    output = tmp_path / "made.jsonl"
    Maker.of(source, Settings(**settings), output=output).write(output)
    return Benchmark.read(output)


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
    annotations = Annotations(("cat",), {}, scenes)
    kept = Collection.of(annotations, min_area=0.05)
    assert [picture.name for picture in kept.pictures] == ["b"]
    assert kept.dropped == {"a box below 0.05 of the picture": 1, "a crowd": 1}
    with pytest.raises(DataError, match="no usable picture"):
        Collection.of(annotations, min_area=0.6)


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
    read = made(tmp_path, source, items=20, sweeps=Sweeps(images=(2, 3), totals=(2,)))
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
    read = made(tmp_path, source, items=5, sweeps=sweeps)
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
