import io
import tarfile

import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vlmkit_hf
from archives import content, tar
from vlmkit import LabelSpace
from vlmkit.errors import DataError
from vlmkit.registry import Builder, Registry
from vlmkit.registry.source import dataset_spec
from vlmkit.runs import Survey, skimmed
from vlmkit_hf.webdataset import WebDataset


@pytest.fixture(scope="module")
def build():
    registry = Registry("hf")
    vlmkit_hf.vlmkit_register(registry)
    return lambda data: Builder(registry).dataset(dataset_spec(str(data), registry))


@pytest.fixture(scope="module")
def pixel():
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (1, 1)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_label_file_names_the_classes_of_numbers(build, pixel, tmp_path):
    path = tar(tmp_path / "a.tar", [("a.png", pixel), ("a.cls", b"1"), ("b.png", pixel), ("b.cls", b"-1")])
    (tmp_path / "names.txt").write_text("crane\nheron\n")
    assert [example.target for example in build(path)] == ["1", "-1"]
    named = build(f"webdataset:{path},classes={tmp_path}/names.txt")
    assert [example.target for example in named] == ["heron", None]
    assert named.labels.names == ("crane", "heron")
    (tmp_path / "names.txt").write_text("crane\n")
    with pytest.raises(DataError, match=r"row a\.tar/a: class 1 is none of the 1 classes; mend it there"):
        list(build(f"webdataset:{path},classes={tmp_path}/names.txt"))
    with pytest.raises(DataError, match="has no target that is a number"):
        list(build(f"webdataset:{path},target=none,classes={tmp_path}/names.txt"))


def test_json_in_an_archive(build, pixel, tmp_path):
    samples = [
        ("x/a.jpg", pixel),
        ("x/a.json", b'{"label": "crane", "by": {"name": "Ann"}}'),
        ("x/._a.jpg", b"resource"),
    ]
    data = build(tar(tmp_path / "a.tar", samples))
    assert [(example.id, example.target) for example in data] == [("a.tar/x/a", "crane")]
    assert [example.target for example in build(f"webdataset:{tmp_path}/a.tar,target=json.by.name")] == ["Ann"]


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([("a.cls", b"crane")], r"file a\.cls of archive .*bad\.tar is no cls"),
        ([("a.json", b"{")], r"file a\.json of archive .*bad\.tar is no json"),
        ([("a.json", b"[" * 100_000)], r"file a\.json of archive .*bad\.tar is no json"),
        ([("a.txt", b"\xff")], r"file a\.txt of archive .*bad\.tar is no txt"),
        ([("a.jpg", b"1"), ("a.png", b"2")], "sample a of archive .*bad.tar has two files for 'image'"),
        ([("README", b"no sample")], "holds no sample"),
        (
            [("a.jpg", b""), ("a.json", b'{"label": "crane"}'), ("b.jpg", b""), ("b.json", b'{"label": ["crane"]}')],
            r"row bad\.tar/b: json\.label holds a list and no text",
        ),
    ],
)
def test_a_broken_sample_is_named(build, tmp_path, samples, message):
    with pytest.raises(DataError, match=message):
        list(build(tar(tmp_path / "bad.tar", samples)))


@settings(max_examples=30)
@given(data=st.data())
def test_an_archive_that_is_cut_off_is_no_smaller_data_set(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("cut")
    files = [file for key in "abc" for file in ((f"{key}.png", b"p" * 700), (f"{key}.cls", b"1"))]
    whole = tar(folder / "whole.tar", files).read_bytes()
    end = 6 * 512 + 3 * (2 * 512 + 512)  # headers and padded contents; empty blocks follow
    cut = folder / "cut.tar"
    cut.write_bytes(whole[: data.draw(st.integers(1, end - 1))])
    with pytest.raises(DataError, match="cannot be read to its end"):
        list(WebDataset(cut))
    with pytest.raises(DataError, match="cannot be read to its end"):
        len(WebDataset(cut, image=("image",), target="cls"))
    cut.write_bytes(whole[: end + 512])
    assert len(list(WebDataset(cut))) == 3


def test_compressed_archives(build, pixel, tmp_path):
    plain = tar(tmp_path / "a.tar", [("a.png", pixel), ("a.label", b"dot")])
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive, tarfile.open(plain) as source:
        for member in source:
            archive.addfile(member, source.extractfile(member))
    assert content(build(f"webdataset:{tmp_path}/a.tar.gz")) == content(build(plain))
    whole = (tmp_path / "a.tar.gz").read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read to its end"):
        list(build(f"webdataset:{tmp_path}/a.tar.gz"))


def test_only_what_a_limit_needs_is_read(build, pixel, tmp_path):
    whole = tar(
        tmp_path / "a.tar", [file for key in "abcd" for file in ((f"{key}.png", pixel), (f"{key}.label", b"x"))]
    )
    whole.write_bytes(whole.read_bytes()[: 5 * 1024])
    assert Survey.of(skimmed(build(whole), 2), LabelSpace(["x"])).ids == ("a.tar/a", "a.tar/b")
