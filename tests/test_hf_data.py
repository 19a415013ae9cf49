import io
import json
import sys
import tarfile
import zipfile
from itertools import islice
from os.path import commonpath

import PIL.Image
import pytest

import vlmkit_datasets
import vlmkit_hf
from archives import content, tar
from vlmkit import Dataset, Pipeline, Skims
from vlmkit.data.images import open_image
from vlmkit.errors import DataError, ImageError, LabelError
from vlmkit.registry import Builder, Registry
from vlmkit.registry.source import dataset_spec
from vlmkit.runs import Survey, skimmed
from vlmkit_glyphs.dataset import Glyphs

datasets = pytest.importorskip("datasets")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

SIZE = 6


@pytest.fixture(scope="module", autouse=True)
def offline(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        patch.setattr("datasets.config.HF_HUB_OFFLINE", True)
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        yield


@pytest.fixture(scope="module")
def registry():
    made = Registry("hf")
    vlmkit_datasets.vlmkit_register(made)
    vlmkit_hf.vlmkit_register(made)
    return made


@pytest.fixture(scope="module")
def build(registry):
    return lambda data: Builder(registry).dataset(dataset_spec(str(data), registry))


def encoded(picture, kind="PNG"):
    buffer = io.BytesIO()
    picture.save(buffer, kind, lossless=True)
    return buffer.getvalue()


def features(labels):
    return datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(labels))})


@pytest.fixture(scope="module")
def forms(tmp_path_factory):
    """The same glyphs in every form; the spec of each by its name."""
    root = tmp_path_factory.mktemp("forms")
    glyphs = Glyphs(labels=4, images=SIZE)
    examples = sorted(glyphs, key=lambda example: example.target)
    names = sorted(glyphs.labels.names)
    for number, example in enumerate(examples):
        folder = root / "folder" / "test" / example.target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(encoded(example.images[0]))
    table = {
        "image": [example.images[0] for example in examples],
        "label": [names.index(example.target) for example in examples],
    }
    split = datasets.Dataset.from_dict(table, features=features(names), split="test")
    split.save_to_disk(root / "saved")
    datasets.DatasetDict(test=split, train=split.select([0])).save_to_disk(root / "splits")
    split.to_parquet(root / "typed.parquet", batch_size=2)
    plain = {"image": [encoded(one) for one in table["image"]], "label": [example.target for example in examples]}
    pq.write_table(pa.table(plain), root / "plain.parquet")
    (root / "more").mkdir()
    for part in range(2):
        rows = slice(part * 3, part * 3 + 3)
        pq.write_table(
            pa.table({key: column[rows] for key, column in plain.items()}), root / "more" / f"{part}.parquet"
        )
        samples = []
        for number, example in list(enumerate(examples))[rows]:
            kind = "png" if number % 2 else "webp"
            picture = (f"{number}.{kind}", encoded(example.images[0], kind))
            samples += [picture, (f"{number}.label", example.target.encode()), (f"{number}.npy", b"something else")]
        tar(root / f"part-{part:03d}.tar", samples)
    return {
        "folder": root / "folder" / "test",
        "imagefolder": f"hf:{root}/folder:test",
        "imagefolder, streamed": f"hf:{root}/folder:test,streaming=true",
        "saved": f"hf:{root}/saved",
        "saved splits": f"hf:{root}/splits:test",
        "hf on Parquet": f"hf:{root}/typed.parquet",
        "hf on Parquet, streamed": f"hf:{root}/typed.parquet,streaming=true",
        "Parquet with types": root / "typed.parquet",
        "Parquet of bytes": f"parquet:path={root}/plain.parquet",
        "several Parquet files": f"parquet:{root}/more/*.parquet",
        "WebDataset": f"webdataset:{root}/part-{{000..001}}.tar",
    }


FORMS = [
    "imagefolder",
    "imagefolder, streamed",
    "saved",
    "saved splits",
    "hf on Parquet",
    "hf on Parquet, streamed",
    "Parquet with types",
    "Parquet of bytes",
    "several Parquet files",
    "WebDataset",
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_examples_of_the_folder(build, forms, form):
    data = build(forms[form])
    assert isinstance(data, Dataset) and isinstance(data, Skims)
    assert content(data) == content(build(forms["folder"]))
    assert set(data.labels.names) >= {example.target for example in data}
    assert len(data) == SIZE == len({example.id for example in data})
    assert (
        [(one.id, one.target) for one in data.skim()]
        == [(one.id, one.target) for one in data]
        == [(one.id, one.target) for one in build(forms[form])]
    )


def test_ids_say_where_a_row_stands(build, forms):
    first_and_last = {
        "imagefolder": ("test/0", "test/5"),
        "several Parquet files": ("0.parquet/0", "1.parquet/2"),
        "WebDataset": ("part-000.tar/0", "part-001.tar/5"),
    }
    for form, expected in first_and_last.items():
        ids = [example.id for example in build(forms[form])]
        assert (ids[0], ids[-1]) == expected


def test_the_folder_of_all_files_is_found_once_and_not_for_each_row(build, forms, monkeypatch):
    found = []
    monkeypatch.setattr("vlmkit_hf.shards.commonpath", lambda paths: found.append(paths) or commonpath(paths))
    for form in ("several Parquet files", "WebDataset"):
        assert len(list(build(forms[form]))) == SIZE
    assert len(found) == 2


def test_classes_keep_their_order_and_text_is_sorted(build, forms):
    names = build(forms["saved"]).labels.names
    assert names == build(forms["Parquet with types"]).labels.names == tuple(sorted(names))
    assert len(names) == 4


def test_results_are_those_of_the_folder(build, forms):
    labels = build(forms["saved"]).labels
    with Pipeline(model="tiny", strategy="flat") as pipeline:
        first, *others = (
            [solved.prediction.ranking for solved in pipeline.solve(islice(build(forms[form]), 3), labels)]
            for form in ("folder", "saved", "Parquet of bytes", "WebDataset")
        )
    assert len(first) == 3 and all(found == first for found in others)


def test_several_pictures_questions_and_ids(build, tmp_path):
    two = [{"bytes": encoded(PIL.Image.new("RGB", (2, 2), colour)), "path": None} for colour in ("red", "blue")]
    rows = [
        {"images": two, "extra": two[0]["bytes"], "question": "What differs?", "answer": "colour", "uid": 7},
        {"images": [], "extra": None, "question": None, "answer": None, "uid": 8},
    ]
    kinds = {
        "images": datasets.List(datasets.Image()),
        "extra": datasets.Value("binary"),
        "question": datasets.Value("string"),
        "answer": datasets.Value("string"),
        "uid": datasets.Value("int64"),
    }
    datasets.Dataset.from_list(rows, features=datasets.Features(kinds)).to_parquet(tmp_path / "q.parquet")
    for form in (
        f"parquet:{tmp_path}/q.parquet",
        f"hf:{tmp_path}/q.parquet",
        f"hf:{tmp_path}/q.parquet,streaming=true",
    ):
        first, empty = build(f'{form},target=answer,id=uid,image="images,extra"')
        assert (first.id, first.target, first.question, len(first.images)) == ("7", "colour", "What differs?", 3)
        assert (empty.id, empty.target, empty.question) == ("8", None, None)
        with pytest.raises(ImageError, match="it is empty"):
            open_image(empty.images[0])


def test_json_and_csv_name_pictures_by_path(build, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    PIL.Image.new("RGB", (2, 2), "red").save(tmp_path / "a.png")
    (tmp_path / "rows.jsonl").write_text(json.dumps({"file": "a.png", "label": "red"}) + "\n")
    (tmp_path / "rows.csv").write_text("file,label\na.png,red\n")
    for folder, name, more in (
        (f"{tmp_path}/", "rows.jsonl", ""),
        (f"{tmp_path}/", "rows.csv", ""),
        (f"{tmp_path}/", "rows.csv", ",streaming=true"),
        ("", "rows.csv", ""),
    ):
        (example,) = build(f"hf:{folder}{name},image=file,target=label{more}")
        assert example.target == "red" and open_image(example.images[0]).pixels.size == (2, 2)


def test_a_stream_fetches_pictures_that_lie_elsewhere(build, tmp_path):
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        for name in ("a.png", "b.png"):
            archive.writestr(name, encoded(PIL.Image.new("RGB", (2, 2), "red")))
    streamed, local = build(f"hf:{tmp_path}:train,streaming=true"), build(f"hf:{tmp_path}:train")
    assert content(streamed) == content(local) and len(streamed) == 2
    rows = iter(streamed)
    next(rows)
    (tmp_path / "train.zip").write_bytes(b"")
    with pytest.raises(DataError, match=r"picture zip://b\.png::.*train\.zip cannot be fetched"):
        next(rows)


def test_broken_parquet_is_named_with_the_row(build, tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [b"x" * 90] * 300, "label": ["a"] * 300}), path, row_group_size=100)
    place = pq.ParquetFile(path).metadata.row_group(1).column(1).data_page_offset
    whole = bytearray(path.read_bytes())
    whole[place : place + 12] = b"\xff" * 12
    path.write_bytes(whole)
    data = build(path)
    with pytest.raises(DataError, match=r"Parquet file .*a\.parquet, from row 64 on: it cannot be read"):
        len(data)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"Parquet file .*a\.parquet: it cannot be read .*; fetch it again"):
        len(build(path))
    pq.write_table(pa.table({"image": [b"x"], "label": ["a"]}), tmp_path / "b1.parquet")
    pq.write_table(pa.table({"image": [b"x"]}), tmp_path / "b2.parquet")
    with pytest.raises(DataError, match=r"b2\.parquet has no column 'label'"):
        len(build(f"parquet:{tmp_path}/b*.parquet"))


def test_columns_that_datasets_has_no_type_for_are_left_aside(build, tmp_path):
    table = pa.table(
        {"image": [b"x"], "label": ["a"], "tags": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int32()))}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert [example.target for example in build(tmp_path / "a.parquet")] == ["a"]
    for said in (b"{", b'{"info": {"features": {"image": {"_type": "OfTomorrow"}}}}', b'{"info": {"features": 3}}'):
        pq.write_table(table.replace_schema_metadata({b"huggingface": said}), tmp_path / "a.parquet")
        with pytest.raises(DataError, match=r"a\.parquet: what it says of its columns makes no sense .*; pip install"):
            list(build(tmp_path / "a.parquet"))


def test_a_broken_picture_fails_alone(build, tmp_path):
    good = encoded(PIL.Image.new("RGB", (2, 2)))
    pq.write_table(pa.table({"image": [good[:40], good]}), tmp_path / "a.parquet")
    with Pipeline(model="scripted", strategy="flat") as pipeline:
        broken, sound = pipeline.solve(build(tmp_path / "a.parquet"), ["a", "b"])
    assert isinstance(broken.error, ImageError) and sound.prediction is not None


def test_looking_over_a_data_set_opens_no_picture_and_reads_an_archive_once(build, forms, monkeypatch):
    opened, archives = [], []
    real_image, real_tar = PIL.Image.open, tarfile.open
    monkeypatch.setattr(PIL.Image, "open", lambda *given, **more: opened.append(1) or real_image(*given, **more))
    monkeypatch.setattr(
        tarfile, "open", lambda *given, **more: archives.append(given[0].name) or real_tar(*given, **more)
    )
    for form in FORMS:
        data = build(forms[form])
        assert len(Survey.of(skimmed(data, None), data.labels).ids) == len(list(data)) == len(data)
    assert opened == []
    # The first sample tells the columns; one pass tells labels, ids and targets, one gives the pictures.
    assert archives == ["part-000.tar", *["part-000.tar", "part-001.tar"] * 2]


def test_memory_does_not_grow_with_the_file(build, tmp_path):
    def peak(rows):
        path = tmp_path / f"{rows}.parquet"
        pictures = [number.to_bytes(2, "big") * 2000 for number in range(rows)]
        pq.write_table(pa.table({"image": pictures}), path, compression="none", use_dictionary=False)
        before = pa.total_allocated_bytes()
        return max(pa.total_allocated_bytes() - before for _ in build(path))

    assert peak(6000) < 1.2 * peak(3000)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("hf:{splits}", "has 2 splits; there are test, train; write hf:.*:test"),
        ("hf:{splits}:dev", "has no split dev; there are test, train"),
        ("hf:{folder}:dev", r"Unknown split \"dev\". Should be one of \['test'\]"),
        ("hf:{folder}:dev,streaming=true", r"Bad split: dev. Available splits: \['test'\]"),
        ("hf:nobody/nothing:test", "Couldn't reach 'nobody/nothing' on the Hub.*; check the network"),
        ("hf:nobody/nothing", "Couldn't reach 'nobody/nothing' on the Hub.*; check the network"),
        ("hf:{empty}:test", "data set .*empty"),
        ("parquet:{empty}/a-{{0..1}}.parquet", r"there is no file .*a-0\.parquet; check the path"),
        ("webdataset:{empty}/*.tar", r"there is no file .*\*\.tar; check the path"),
        ("absent.parquet", "there is no file or folder absent.parquet"),
    ],
)
def test_what_is_not_there_is_one_line(build, forms, tmp_path, data, message):
    (tmp_path / "empty").mkdir()
    splits = forms["saved splits"].split(":")[1]
    places = {"splits": splits, "folder": forms["folder"].parent, "empty": tmp_path / "empty"}
    with pytest.raises(DataError, match=message) as caught:
        list(build(data.format(**places)))
    assert "\n" not in str(caught.value)


def test_without_the_extra_a_line_says_what_to_install(build, forms, monkeypatch):
    expected = len(build(forms["WebDataset"]))
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    for form in ("imagefolder", "saved", "Parquet of bytes"):
        with pytest.raises(DataError, match=r'needs the package \w+; pip install "vlmkit\[hf\]"'):
            len(build(forms[form]))
    assert len(build(forms["WebDataset"])) == expected  # tar archives need nothing more


def test_labels_keep_to_the_rules(build, tmp_path):
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a\nb", "c"])})
    datasets.Dataset.from_dict({"image": [], "label": []}, features=kinds).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(LabelError, match="control character"):
        _ = build(tmp_path / "a.parquet").labels
