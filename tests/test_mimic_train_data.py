"""``vlmkit mimic train-data``: right answers, mixed controls, no picture of a benchmark, and what trainers read."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random

import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmkit.data.images import open_image
from vlmkit.errors import DataError
from vlmkit_mimic.benchmark import Benchmark, Settings
from vlmkit_mimic.build import Maker
from vlmkit_mimic.cells import TASKS, Sweeps
from vlmkit_mimic.collection import Collection
from vlmkit_mimic.reading import Vocabulary
from vlmkit_mimic.scorers import strict
from vlmkit_mimic.sources.glyphs import GlyphScenes
from vlmkit_mimic.sources.pictures import PictureFiles
from vlmkit_mimic.tasks import Drawer
from vlmkit_mimic.training import TrainingData, cells, conversation
from vlmkit_train.conversations import Conversations

SOURCE = "glyphs:pictures=400,seed=1"
SMALL = Sweeps(images=(2, 3), totals=(2, 3))
COCO = {
    "categories": [{"id": 1, "name": "dog", "supercategory": "animal"}, {"id": 2, "name": "cat"}],
    "images": [{"id": index, "file_name": f"{index}.jpg", "width": 10, "height": 10} for index in range(12)],
    "annotations": [
        {"id": index, "image_id": index, "category_id": 1 + index % 2, "bbox": [0, 0, 5, 5]} for index in range(12)
    ],
}


def maker(source, collection, **given):
    return Maker(Settings(**{"sweeps": SMALL, "items": 20, **given}), collection, source, None)


def drawn(making):
    """The first conversations, as questions with what is said and answered."""
    data = TrainingData(making, (), PictureFiles.of(SOURCE, None, output=Path("x.jsonl")))
    drawers = [one for one in making.drawers(cells(making.settings.sweeps)).values() if isinstance(one, Drawer)]
    for item, cell in data.items(drawers, "digest"):
        yield item, cell, conversation(item, item.images)


def written(output, source=SOURCE, *, apart_from=(), pictures=None, **given):
    chosen = Settings(**{"sweeps": SMALL, "items": 20, **given})
    data = TrainingData.of(source, chosen, output=output, pictures=pictures, apart_from=apart_from)
    data.write(output)
    return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]


def benchmark(output, source, **given):
    made = Settings(**{"sweeps": SMALL, "items": 5, **given})
    Maker.of(source, made, output=output).write(output)
    return Benchmark.read(output)


def shown(lines):
    return {name for line in lines for name in line["image"]}


@settings(max_examples=15)
@given(st.integers(0, 999), st.integers(0, 999), st.sets(st.sampled_from(TASKS), min_size=1))
def test_replies_are_right_and_pictures_shown_once(source_seed, seed, tasks):
    scenes = GlyphScenes(120, seed=source_seed).annotations()
    collection = Collection.of(scenes, min_area=0.05)
    sweeps = Sweeps([task for task in TASKS if task in tasks], images=(1, 3, 4), totals=(1, 2, 5))
    making = maker("made", collection, sweeps=sweeps, seed=seed, items=25)
    for item, cell, said in drawn(making):
        human, gpt = said["conversations"]
        assert strict(item, gpt["value"], Vocabulary(collection.classes)).right
        assert human == {"from": "human", "value": "<image>\n" * cell.images + item.question}
        assert len({*said["image"]}) == len(said["image"]) == cell.images


@given(st.sets(st.sampled_from(TASKS), min_size=1), st.booleans(), st.booleans(), st.booleans())
def test_open_controls_are_filled_with_what_fits_and_ten_images_at_most(tasks, images, spread, distractors):
    sweeps = Sweeps([*tasks], (4, 6) * images, (1, 2) * spread, (3,) * distractors)
    try:
        found = [*cells(sweeps)]
    except DataError:
        assert {*tasks} == {"common"} and (spread or distractors)
        return
    assert not any(cell.conflict for cell in found) and len({*found}) == len(found)
    assert max(cell.images for cell in found) <= 10
    for given_here, control in ((images, "images"), (spread, "spread"), (distractors, "distractors")):
        if given_here:
            assert {getattr(cell, control) for cell in found} <= {*getattr(sweeps, control)}


def test_every_value_of_a_control_is_as_likely_as_any_other():
    collection = Collection.of(GlyphScenes(400, objects=9).annotations(), min_area=0.001)
    sweeps = Sweeps(images=(2, 3, 4), totals=(2, 4, 6))
    found = [cell for _, cell, _ in drawn(maker("made", collection, sweeps=sweeps, items=3000))]
    tasks = Counter(cell.task for cell in found)
    totals = Counter(cell.total for cell in found if cell.task == "counting")
    sizes = Counter(cell.classes for cell in found if cell.task == "listing")
    for counts, kinds in ((tasks, 4), (totals, 3), (sizes, 3)):
        assert len(counts) == kinds and max(counts.values()) < 1.3 * min(counts.values())


def test_sets_are_written_in_one_order():
    collection = Collection.of(GlyphScenes(300).annotations(), min_area=0.05)
    making = maker("made", collection, sweeps=Sweeps(("listing",), images=(3,), classes=(3,)))
    for _, _, said in drawn(making):
        names = said["conversations"][1]["value"].split(", ")
        assert names == sorted(names) and len(names) == 3


def test_the_same_seed_makes_the_same_bytes_and_more_only_add(tmp_path):
    for place in ("a", "b", "more", "other"):
        (tmp_path / place).mkdir()
    first = written(tmp_path / "a" / "train.jsonl")
    assert written(tmp_path / "b" / "train.jsonl") == first
    for path in (tmp_path / "a").rglob("*.*"):
        assert (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes() == path.read_bytes()
    more = written(tmp_path / "more" / "train.jsonl", items=25)
    assert [{**line, "id": line["id"].partition("@")[0]} for line in more[:20]] == [
        {**line, "id": line["id"].partition("@")[0]} for line in first
    ]
    assert [line["image"] for line in written(tmp_path / "other" / "train.jsonl", seed=1)] != [
        line["image"] for line in first
    ]


def test_the_header_beside_is_enough_to_make_the_file_again(tmp_path):
    apart = benchmark(tmp_path / "b.jsonl", SOURCE, items=1)
    first = written(tmp_path / "train.jsonl", apart_from=[apart], pool=6, seed=3)
    plain = json.loads((tmp_path / "train.header.json").read_text(encoding="utf-8"))
    assert plain["apart_from"] == [{"benchmark": "b.jsonl", "digest": apart.header.digest}]
    assert sum(cell["items"] for cell in plain["cells"]) == len(first) == plain["settings"]["items"]
    given = {name: plain["settings"][name] for name in ("items", "seed", "min_area", "pool", "shuffle", "wording")}
    again = tmp_path / "again.jsonl"
    sweeps = Sweeps(**plain["settings"]["sweeps"])
    assert written(again, plain["source"], apart_from=[apart], pictures=tmp_path / "train", sweeps=sweeps, **given)
    assert again.read_bytes() == (tmp_path / "train.jsonl").read_bytes()


@pytest.mark.parametrize("seed", range(2))
def test_no_picture_of_a_benchmark_is_shown(tmp_path, seed):
    apart = benchmark(tmp_path / "b.jsonl", SOURCE, seed=seed)
    theirs = {f"{name}.png" for item in apart.items for name in item.images}
    assert theirs & shown(written(tmp_path / "with.jsonl", seed=seed, items=40))
    lines = written(tmp_path / "train.jsonl", seed=seed, apart_from=[apart], items=40)
    assert not theirs & shown(lines)
    left_out = json.loads((tmp_path / "train.header.json").read_text())["dropped"]["a place in b.jsonl"]
    assert left_out == len(theirs)


def test_drawn_pictures_of_another_seed_are_others(vlmkit_here, tmp_path):
    benchmark(tmp_path / "b.jsonl", SOURCE)
    options = ("--apart-from", "b.jsonl", "--output", "t.jsonl", "--conversations", "20", "--images", "2")
    done = vlmkit_here("mimic", "train-data", "glyphs:pictures=400,seed=2", *options)
    assert done.returncode == 0, done.stderr
    assert "0 pictures left out: a place in b.jsonl" in done.stderr
    assert "20 conversations in" in done.stderr and "their pictures: --images t" in done.stderr


def test_drawn_pictures_become_files_and_trainers_read_all(tmp_path):
    lines = written(tmp_path / "train.jsonl")
    data = Conversations.open(tmp_path / "train.jsonl", tmp_path / "train")
    assert [len(one.images) for one in data] == [len(line["image"]) for line in lines]
    assert {path.name for path in (tmp_path / "train").iterdir()} == shown(lines)
    source = GlyphScenes(400, seed=1)
    for name in Random(0).sample(sorted(shown(lines)), 5):
        picture = open_image(source.picture(Path(name).stem))
        assert open_image(tmp_path / "train" / name).digest == picture.digest
    with pytest.raises(DataError, match=r"scene-\d+.png is another picture; give an empty folder with --pictures"):
        written(tmp_path / "train.jsonl", "glyphs:pictures=400,seed=2")


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    for image in COCO["images"]:
        PIL.Image.new("RGB", (10, 10)).save(tmp_path / "photos" / image["file_name"])
    (tmp_path / "coco.json").write_text(json.dumps(COCO))
    return f"coco:annotations={tmp_path}/coco.json,images={tmp_path}/photos"


def test_paths_of_files_are_relative_to_their_folder(photos, tmp_path):
    sweeps = Sweeps(("counting",), images=(2,), totals=(1, 2))
    lines = written(tmp_path / "train.jsonl", photos, sweeps=sweeps, items=40)
    assert shown(lines) == {f"{index}.jpg" for index in range(12)}
    assert len(Conversations.open(tmp_path / "train.jsonl", tmp_path / "photos")) == 40
    assert not (tmp_path / "train").exists()


def test_a_file_is_the_same_picture_from_another_folder(photos, tmp_path):
    # The benchmark names its pictures from the folder above.
    images = [{**image, "file_name": f"photos/{image['file_name']}"} for image in COCO["images"][:4]]
    content = {**COCO, "images": images, "annotations": COCO["annotations"][:4]}
    (tmp_path / "few.json").write_text(json.dumps(content))
    sweeps = Sweeps(("counting",), images=(2,), totals=(1,))
    few = f"coco:annotations={tmp_path}/few.json,images={tmp_path}"
    apart = benchmark(tmp_path / "b.jsonl", few, sweeps=sweeps, items=30)
    assert shown(written(tmp_path / "train.jsonl", photos, sweeps=sweeps, apart_from=[apart])) == {
        f"{index}.jpg" for index in range(4, 12)
    }


def test_mistakes_are_one_line_and_exit_code_2(vlmkit_here, photos, tmp_path):
    every = benchmark(tmp_path / "b.jsonl", SOURCE, items=400)
    assert len({name for item in every.items for name in item.images}) == 400
    glyphs = (SOURCE, "--output", "t.jsonl")
    for arguments, says in (
        ((*glyphs, "--apart-from", "b.jsonl"), "no picture is left: b.jsonl shows all 400; give a source with other"),
        ((*glyphs, "--apart-from", "no.jsonl"), "benchmark no.jsonl: there is no such file"),
        ((*glyphs, "--task", "common", "--images", "1"), "no question has these numbers: one image has nothing"),
        ((SOURCE, "--output", "t.json"), "t.json is no JSONL file by its name; name it FILE.jsonl"),
        ((SOURCE, "--output", "no/t.jsonl"), "there is no folder no"),
        ((photos, "--output", "t.jsonl", "--pictures", "x"), "are files already; leave --pictures out"),
    ):
        done = vlmkit_here("mimic", "train-data", *arguments)
        assert done.returncode == 2 and not done.stdout, arguments
        assert says in done.stderr and done.stderr.count("\n") == 1
        assert not (tmp_path / "t.jsonl").exists()


def test_a_lora_learns_them_and_their_questions_can_be_asked(vlmkit_here, tmp_path):
    written(tmp_path / "train.jsonl", items=3)
    options = ("--rank", "2", "--batch-size", "2", "--accumulate", "1", "--steps", "1", "--device", "cpu", "--json")
    given = ("--data", "train.jsonl", "--images", "train", "--strategy", "masked:layers=2-3")
    done = vlmkit_here("train", "lora", *given, "--output", "lora", "--quiet", *options)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"]["conversations"] == 3
    asked = "conversations:file=train.jsonl,images=train"
    done = vlmkit_here("run", asked, "--strategy", "flat", "--output", "run", "--lora", "lora", "--quiet", "--json")
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert {one["id"]: one["target"] for one in records} == {
        line["id"]: line["conversations"][1]["value"] for line in lines
    }
    assert all(one["text"] is not None for one in records)
