from itertools import islice

import numpy as np
import PIL.Image
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from vlmkit.data.labels import read_labels
from vlmkit.errors import DataError
from vlmkit.registry import Builder, PluginHost, Spec
from vlmkit_glyphs.commands import glyphs
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_glyphs.drawing import COLOURS, PAINTERS, TEXTURES, draw
from vlmkit_glyphs.names import GLYPHS, LEAVES, LEVELS, path

SEEDS = st.integers(0, 2**32)
LABEL_COUNTS = st.integers(2, 1000)


def pixels(glyph, seed):
    return draw(glyph.colour, glyph.texture, glyph.shape, np.random.default_rng(seed)).tobytes()


def test_every_kind_of_glyph_looks_different_at_one_place():
    assert len({pixels(glyph, seed=0) for glyph in GLYPHS.values()}) == 1000


@given(st.sampled_from(LEAVES), SEEDS)
def test_drawing_depends_on_the_generator_alone(leaf, seed):
    assert pixels(GLYPHS[leaf], seed) == pixels(GLYPHS[leaf], seed)
    assert pixels(GLYPHS[leaf], seed) != pixels(GLYPHS[leaf], seed + 1)


def test_everything_that_has_a_name_can_be_drawn():
    assert set(LEVELS["colour"]) == set(COLOURS)
    assert set(LEVELS["texture"]) == set(TEXTURES)
    assert set(LEVELS["shape"]) == set(PAINTERS)


def test_no_name_stands_at_two_levels():
    names = [name for level in LEVELS.values() for name in level]
    assert len(names) == len(set(names))


def test_the_paths_form_a_tree_with_the_leaves_at_its_ends():
    parents = {}
    for leaf in LEAVES:
        assert path(leaf)[-1] == leaf
        for parent, child in zip(("", *path(leaf)), path(leaf), strict=False):
            assert parents.setdefault(child, parent) == parent
    assert len(parents) == 1000 + 100 + 10 + 3


@given(SEEDS, LABEL_COUNTS, st.integers(1, 12), st.integers(1, 12))
def test_an_example_does_not_depend_on_how_many_are_asked_for(seed, labels, few, more):
    short = list(Glyphs(labels=labels, images=few, seed=seed))
    long = list(islice(Glyphs(labels=labels, images=few + more, seed=seed), few))
    assert [(e.id, e.target, e.images[0].tobytes()) for e in short] == [
        (e.id, e.target, e.images[0].tobytes()) for e in long
    ]


@given(SEEDS, LABEL_COUNTS)
def test_labels_are_leaves_in_catalogue_order(seed, count):
    names = Glyphs(labels=count, seed=seed).labels.names
    assert len(names) == count
    assert list(names) == [leaf for leaf in LEAVES if leaf in set(names)]


@given(SEEDS, st.integers(2, 10), st.integers(1, 30))
def test_targets_are_spread_evenly_over_the_labels(seed, labels, images):
    data = Glyphs(labels=labels, images=images, seed=seed)
    targets = [example.target for example in data]
    counts = [targets.count(name) for name in data.labels.names]
    assert sum(counts) == len(data) == images
    assert max(counts) - min(counts) <= 1


@given(SEEDS, st.integers(2, 3000))
def test_labels_of_two_glyphs_are_distinct_pairs_of_leaves(seed, count):
    names = Glyphs(labels=count, seed=seed, per_image=2).labels.names
    assert len(set(names)) == count
    assert all(len(pair) == 2 and set(pair) <= set(LEAVES) for pair in (name.split(" and ") for name in names))


def test_two_glyphs_lie_side_by_side_in_the_order_of_their_names():
    for example in Glyphs(labels=1500, images=30, per_image=2):
        (picture,) = example.images
        assert picture.size == (96, 48)
        for side, name in enumerate(example.target.split(" and ")):
            assert nearest_colour(picture.crop((48 * side, 0, 48 * side + 48, 48))) == GLYPHS[name].colour


def nearest_colour(picture):
    """The colour whose hue is nearest to that of the brightest pixels."""
    pixels = np.asarray(picture, dtype=float).reshape(-1, 3)
    ink = pixels[np.argsort(pixels.sum(1))[-100:]].mean(0)
    return min(COLOURS, key=lambda name: np.abs(ink / ink.max() - np.array(COLOURS[name]) / max(COLOURS[name])).sum())


@pytest.mark.parametrize(
    "options",
    [
        {"labels": 1},
        {"labels": 1001},
        {"labels": 1_000_001, "per_image": 2},
        {"per_image": 3},
        {"images": 0},
        {"seed": -1},
    ],
)
def test_numbers_out_of_range_are_the_users_mistake(options):
    with pytest.raises(DataError):
        Glyphs(**options)


def test_the_data_set_is_built_from_its_spec():
    data = Builder(PluginHost.load().registry).dataset(Spec.parse("glyphs:labels=1000,images=3,seed=5"))
    assert data.labels.names == LEAVES
    assert [example.id[:5] for example in data] == ["0000-", "0001-", "0002-"]


@pytest.mark.parametrize("file_format", ["png", "jpeg", "webp"])
def test_draw_writes_a_folder_for_each_label_with_a_picture_and_a_list_of_all(tmp_path, file_format):
    arguments = ["draw", str(tmp_path), "--labels", "7", "--images", "5", "--seed", "2", "--format", file_format]
    result = CliRunner().invoke(glyphs, arguments)
    assert result.exit_code == 0, result.output
    data = Glyphs(labels=7, images=5, seed=2)
    assert {item.name for item in tmp_path.iterdir()} == {"labels.txt", *(example.target for example in data)}
    assert read_labels(tmp_path / "labels.txt") == data.labels
    for example in data:
        with PIL.Image.open((tmp_path / example.target / example.id).with_suffix(f".{file_format}")) as picture:
            assert picture.format == file_format.upper()
            assert picture.size == (48, 48)
