import json
import os
import subprocess
import sys

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vlmkit_datasets
from vlmkit.contracts import Dataset, OffersTaxonomy
from vlmkit.data.images import open_image
from vlmkit.errors import DataError, ImageError
from vlmkit.registry import Builder, Registry, Spec
from vlmkit.registry.source import dataset_spec
from vlmkit_datasets.folder import Folder


@pytest.fixture(scope="module")
def registry():
    made = Registry("datasets")
    vlmkit_datasets.vlmkit_register(made)
    made.dataset("glyphs", "vlmkit_glyphs.dataset:Glyphs", summary="Drawn")
    return made


@pytest.fixture(scope="module")
def build(registry):
    return lambda data: Builder(registry).dataset(dataset_spec(str(data), registry))


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (2, 2), "red").save(path, "PNG")
    return path


def pictures(root, *names):
    for name in names:
        picture(root / name)
    return root


def test_sub_folders_are_the_targets(build, tmp_path):
    data = build(pictures(tmp_path, "dog/b.png", "dog/puppies/a.JPG", "cat/z.png", "loose.png", "Emu/e.webp"))
    assert isinstance(data, Dataset)
    assert [(example.id, example.target) for example in data] == [
        ("Emu/e.webp", "Emu"),
        ("cat/z.png", "cat"),
        ("dog/b.png", "dog"),
        ("dog/puppies/a.JPG", "dog"),
        ("loose.png", None),
    ]
    assert data.labels.names == ("Emu", "cat", "dog")
    assert len(data) == 5 and list(data) == list(data)
    assert all(open_image(source).pixels.size == (2, 2) for example in data for source in example.images)


def test_nested_folders_form_a_taxonomy(registry, tmp_path):
    root = pictures(tmp_path / "life", "bird/crane/a.png", "machine/crane/b.png", "stone/c.png", "loose.png")
    data = Builder(registry).dataset(Spec("folder", {"path": str(root), "nested": "true"}))
    assert isinstance(data, OffersTaxonomy) and data.taxonomy is not None
    assert (data.taxonomy.paths, data.taxonomy.root) == (
        (("bird", "crane"), ("machine", "crane"), ("stone",)),
        "life",
    )
    assert data.labels == data.taxonomy.labels
    assert [example.target for example in data] == ["crane (bird)", None, "crane (machine)", "stone"]
    picture(root / "bird" / "d.png")
    with pytest.raises(DataError, match="life holds no taxonomy: bird is a leaf and has nodes below it; move its"):
        Folder(root, nested=True)


def test_a_flat_folder_has_no_targets(build, tmp_path):
    data = build(pictures(tmp_path, "a.png", "b.png"))
    assert data.labels.names == () and {example.target for example in data} == {None}


def test_hidden_and_other_files_are_skipped(build, tmp_path):
    pictures(tmp_path, "cat/a.png", ".cache/b.png", "cat/.thumb.png", "cat/._a.png")
    (tmp_path / "cat" / "notes.txt").write_text("no picture")
    assert [example.id for example in build(tmp_path)] == ["cat/a.png"]


def test_links_are_followed_and_loops_end(build, tmp_path):
    root = tmp_path / "data"
    pictures(root, "cat/a.png")
    pictures(tmp_path / "pool", "d.png")
    (root / "dog").symlink_to(tmp_path / "pool")
    (root / "cat" / "up").symlink_to(root)
    (tmp_path / "pool" / "back").symlink_to(root)
    (root / "self").symlink_to(root / "self")
    assert [example.id for example in build(root)] == ["cat/a.png", "dog/d.png"]


def test_a_link_to_nothing_fails_as_a_picture_and_not_in_silence(build, tmp_path):
    pictures(tmp_path, "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "absent.png")
    _, broken = build(tmp_path)
    with pytest.raises(ImageError, match=r"image b\.png: there is no such file"):
        open_image(broken.images[0], name=broken.id)


def test_one_picture(build, tmp_path):
    data = build(picture(tmp_path / "one, and only.png"))
    assert [(example.id, example.target) for example in data] == [("one, and only.png", None)]


def test_folders_without_pictures_say_what_they_hold(build, tmp_path):
    with pytest.raises(DataError, match="holds no files"):
        build(tmp_path)
    for name in ("a.txt", "b.txt", "c.heic", "README"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"only 2 \.txt, 1") as caught:
        build(tmp_path)
    assert ".jpg" in caught.value.hint
    with pytest.raises(DataError, match="is not a picture"):
        build(tmp_path / "a.txt")


def test_a_folder_without_permission(build, tmp_path):
    pictures(tmp_path, "cat/a.png", "dog/b.png")
    build(tmp_path)
    (tmp_path / "dog").chmod(0)
    as_root = os.geteuid() == 0
    if as_root:
        os.seteuid(65534)
    try:
        with pytest.raises(DataError, match="permission denied"):
            Folder(tmp_path)
    finally:
        if as_root:
            os.seteuid(0)
        (tmp_path / "dog").chmod(0o700)


def test_a_file_name_that_is_not_unicode(build, tmp_path):
    os.close(os.open(os.fsencode(tmp_path) + b"/\xff.png", os.O_CREAT))
    with pytest.raises(DataError, match="is not UTF-8"):
        build(tmp_path)


def manifest(tmp_path, text, suffix="csv"):
    path = tmp_path / f"list.{suffix}"
    path.write_text(text, encoding="utf-8")
    return path


def test_csv(build, tmp_path):
    data = build(
        manifest(
            tmp_path,
            "\ufeffImage,label,id,question,width\npics/b.png, dog,,,3\n"
            'pics/a.png,"cat, grey",x7,,\n\n/abs/c.png,,,What is it?,\n',
        )
    )
    assert isinstance(data, Dataset)
    assert [(e.id, e.target, e.question, e.images) for e in data] == [
        ("pics/b.png", "dog", None, (tmp_path / "pics/b.png",)),
        ("x7", "cat, grey", None, (tmp_path / "pics/a.png",)),
        ("/abs/c.png", None, "What is it?", (type(tmp_path)("/abs/c.png"),)),
    ]
    assert data.labels.names == ("cat, grey", "dog") and len(data) == 3 and list(data) == list(data)


def test_several_images(build, tmp_path):
    in_csv = build(manifest(tmp_path, "images,target\na.png | b.png,cat\nc.png,cat\n"))
    lines = [{"images": ["a.png", "b.png"], "target": "cat"}, {"images": ["c.png"], "target": "cat"}]
    in_json = build(manifest(tmp_path, "\n".join(map(json.dumps, lines)), "jsonl"))
    assert list(in_csv) == list(in_json)
    assert [(e.id, len(e.images)) for e in in_csv] == [("a.png|b.png", 2), ("c.png", 1)]


TEXT = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=10)


@given(
    rows=st.dictionaries(
        TEXT, st.fixed_dictionaries({"image": TEXT, "label": st.none() | TEXT, "question": st.none() | TEXT})
    ).filter(bool)
)
def test_what_is_written_is_read_in_order(rows, build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    text = "\n".join(json.dumps({"id": key, **row, "more": [1]}) for key, row in rows.items())
    data = build(manifest(folder, text, "jsonl"))
    assert [(e.id, e.images, e.target, e.question) for e in data] == [
        (key, (folder / row["image"],), row["label"], row["question"]) for key, row in rows.items()
    ]
    assert data.labels.names == tuple(sorted({row["label"] for row in rows.values() if row["label"]}))


@pytest.mark.parametrize(
    ("suffix", "text", "says"),
    [
        ("csv", "", "no column is called image or images; found: none"),
        ("csv", "file,label\na.png,cat\n", "line 1: no column is called image or images; found: file, label"),
        ("csv", "image\n", "it lists no examples"),
        ("csv", "image,label\na.png,cat\n,dog\n", "line 3: it names no image"),
        ("csv", "image,label\na.png,cat,dog\n", "line 2: 3 cells, but the header has 2"),
        ("csv", "image,id\na.png,1\nb.png,2\nc.png,1\n", "line 4: id '1' stands there and in line 2"),
        ("csv", "image,question\na.png,What?\na.png,Where?\n", "line 3: id 'a.png' stands there and in line 2"),
        ("csv", "image,images\na.png,b.png|c.png\n", "line 2: it has both image and images"),
        ("csv", "image,label,target\na.png,cat,dog\n", "line 2: label 'cat' and target 'dog' differ"),
        ("csv", f"image,label\na.png,{'x' * 10_000}\n", "line 2: label 'xxx"),
        ("jsonl", "", "it lists no examples"),
        ("jsonl", '{"image": "a.png"}\n\n{"image": \n', "line 3, column 11: broken JSON"),
        ("jsonl", '{"image": "a.png"}\n["b.png"]\n', "line 2: expected an object"),
        ("jsonl", '{"images": "a.png"}\n', "line 1: images is not a list of texts"),
        ("jsonl", '{"image": "a.png", "label": {}}\n', "line 1: label is not a text"),
        ("jsonl", '{"image": "a.png", "image": "b.png"}\n', "line 1: key 'image' stands twice"),
        ("jsonl", '{"label": "cat"}\n', "line 1: it names no image"),
    ],
)
def test_mistakes_in_a_manifest_are_named_with_their_line(suffix, text, says, build, tmp_path):
    path = manifest(tmp_path, text, suffix)
    with pytest.raises(DataError) as caught:
        build(path)
    assert says in caught.value.message and str(path) in caught.value.message and caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_missing_picture_is_not_the_manifests_mistake(build, tmp_path):
    (example,) = build(manifest(tmp_path, "image,id\nabsent.png,q1\n"))
    with pytest.raises(ImageError, match=r"image q1 \(.*absent\.png\): there is no such file"):
        open_image(example.images[0], name=example.id)


def test_what_data_means(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(pictures(tmp_path, "pics/a.png"))
    (tmp_path / "list.csv").touch()
    (tmp_path / "LIST.JSONL").touch()
    for text, name in {
        "pics": "folder",
        "pics/a.png": "folder",
        "list.csv": "manifest",
        "LIST.JSONL": "manifest",
    }.items():
        assert dataset_spec(text, registry) == Spec(name, {"path": text})
    for text in ("glyphs", "glyphs:labels=200,images=100", "folder:path=pics"):
        assert dataset_spec(text, registry) == Spec.parse(text)
    for text in ("absent.png", "absent.csv", "absent.jsonl", "./absent", "absent/", "absent", "my pictures", ""):
        with pytest.raises(DataError, match="there is no file or folder"):
            dataset_spec(text, registry)
    with pytest.raises(DataError, match="no file or folder glyph, and unknown dataset 'glyph'; did you mean glyphs"):
        dataset_spec("glyph", registry)


def test_registering_imports_nothing_heavy():
    code = (
        "import sys, vlmkit_datasets as d, vlmkit; d.vlmkit_register(vlmkit.Registry()); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
