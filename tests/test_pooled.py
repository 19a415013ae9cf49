"""The strategies for prompts of many visual tokens: what they ask, what they cost, what they show."""

from __future__ import annotations

import json
from contextlib import closing

import numpy as np
import PIL.Image
import pytest

from vlmkit import Ask, Classify, Engine, Example, Image, LabelSpace
from vlmkit.engine.models import build_backend
from vlmkit.errors import SpecError
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing import check_strategy
from vlmkit_mimic.reducers.fastv import FastV
from vlmkit_mimic.reducers.mean import Mean
from vlmkit_mimic.reducers.visionzip import VisionZip

BUILDER = Builder(PluginHost.load().registry)


def picture(*size: int, seed: int = 0) -> Image:
    rng = np.random.default_rng(seed)
    return Image(PIL.Image.fromarray(rng.integers(0, 255, (*size[::-1], 3), dtype=np.uint8)), f"noise {seed}")


def asked(spec: str, task):
    return next(BUILDER.strategy(spec).solve(task))


@pytest.mark.parametrize("name", ["pooled", "fastv", "visionzip", "resampled", "stitched"])
def test_wrappers_keep_the_contract(name):
    for inner in ("flat", "dci:group_size=5"):
        check_strategy(BUILDER.strategy(f"{name}+{inner}"), free_questions=True, other_images=name == "resampled")


@pytest.mark.parametrize(
    ("spec", "intervention"),
    [
        ("pooled", Mean(4)),
        ("pooled:factor=2,positions=repack+dci:group_size=20", Mean(2, positions="repack")),
        ("fastv:keep=0.25,layer=3+vote:permutations=2", FastV(0.25, 3)),
        ("visionzip:dominant=5,contextual=2+flat", VisionZip(5, 2)),
    ],
)
def test_specs_say_what_is_changed(spec, intervention):
    task = Classify([picture(4, 4)], [f"label {number}" for number in range(30)])
    queries = asked(spec, task)
    assert {query.interventions for query in queries} == {(intervention,)}
    assert {query.images for query in queries} == {task.images}
    (query,) = asked(spec, Ask([picture(4, 4)], "What is this?"))
    assert query.interventions == (intervention,)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pooled:factor=0", "factor"),
        ("pooled:positions=drop", "expected one of keep, repack"),
        ("fastv:keep=0", "keep"),
        ("visionzip:contextual=0", "contextual"),
        ("resampled:factor=0.5", "factor"),
        ("stitched:size=0", "size"),
    ],
)
def test_options_out_of_range_are_refused(spec, message):
    with pytest.raises(SpecError, match=message):
        BUILDER.strategy(spec)


def test_pooling_costs_fewer_tokens_of_every_question():
    labels = LabelSpace(f"label {number}" for number in range(8))
    example = Example(id="pair", images=[picture(64, 64, seed=seed).pixels for seed in range(2)])
    solved = []
    with closing(build_backend("tiny", BUILDER)) as backend:
        for spec in ("dci:group_size=4", "pooled:factor=4+dci:group_size=4"):
            solved += Engine(BUILDER.strategy(spec), backend).solve([example], labels)
    assert all(one.prediction.label in labels.names for one in solved)
    whole, less = (one.usage for one in solved)
    assert (whole.images_encoded, less.images_encoded) == (2, 0)
    assert 0 < less.tokens.trunk < whole.tokens.trunk


def test_resampled_images_keep_their_size_and_lose_detail():
    image = picture(40, 20)
    (query,) = asked("resampled:factor=4", Classify([image], ["a", "b"]))
    (shown,) = query.images
    assert shown.pixels.size == (40, 20) and shown.source == image.source
    small = shown.pixels.resize((20, 10), PIL.Image.Resampling.BICUBIC)
    again = small.resize((40, 20), PIL.Image.Resampling.BICUBIC)
    lost, rest = (
        np.std(np.subtract(*map(np.float32, pair))) for pair in ((image.pixels, shown.pixels), (shown.pixels, again))
    )
    assert lost > 4 * rest
    (query,) = asked("resampled:factor=1", Classify([image], ["a", "b"]))
    assert query.images == (image,)


def colours(image: Image, columns: int, rows: int) -> list[list[int]]:
    array = np.asarray(image.pixels)
    height, width = array.shape[0] // rows, array.shape[1] // columns
    return [
        [int(array[row * height + height // 2, column * width + width // 2, 0]) for column in range(columns)]
        for row in range(rows)
    ]


@pytest.mark.parametrize(
    ("count", "spec", "size", "expected"),
    [
        (3, "stitched:size=64", (64, 64), [[50, 51], [52, 0]]),
        (3, "stitched:columns=3,size=60", (60, 20), [[50, 51, 52]]),
        (2, "stitched:columns=1,size=60", (30, 60), [[50], [51]]),
        (2, "stitched:columns=9,size=60", (60, 30), [[50, 51]]),
        (5, "stitched:size=90", (90, 60), [[50, 51, 52], [53, 54, 0]]),
    ],
)
def test_stitched_images_lie_row_by_row(count, spec, size, expected):
    images = [
        Image(PIL.Image.new("RGB", (20 + number, 40), (50 + number, 0, 0)), str(number)) for number in range(count)
    ]
    for task in (Classify(images, ["a", "b"]), Ask(images, "?")):
        (query,) = asked(spec, task)
        (whole,) = query.images
        assert whole.pixels.size == size
        assert colours(whole, len(expected[0]), len(expected)) == expected
        assert whole.source == " + ".join(map(str, range(count)))


def test_one_image_is_not_stitched():
    image = picture(7, 9)
    (query,) = asked("stitched", Classify([image], ["a", "b"]))
    assert query.images == (image,)


def test_models_without_the_capability_refuse_before_they_load(vlmkit_here, tmp_path):
    picture(8, 8).pixels.save(tmp_path / "a.png")
    (tmp_path / "labels.txt").write_text("a\nb\n")
    done = vlmkit_here("run", "a.png", "--labels", "labels.txt", "--model", "scripted", "--strategy", "pooled")
    assert done.returncode == 2
    assert "strategy Pooled needs reduce, which scripted cannot do" in done.stderr


def test_what_there_is_is_listed(vlmkit_here):
    rows = json.loads(vlmkit_here("ls", "interventions", "--json").stdout)
    assert {"mean", "fastv", "visionzip"} <= {row["name"] for row in rows}
    strategies = {row["name"]: row for row in json.loads(vlmkit_here("ls", "strategies", "--json").stdout)}
    assert strategies["pooled"]["options"] == {"factor": "4", "positions": "keep"}
    assert all(strategies[name]["wraps"] for name in ("fastv", "visionzip", "resampled", "stitched"))
