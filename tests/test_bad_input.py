"""Odd and broken pictures, labels and checkpoints: nothing is lost, and one clear line says what is wrong."""

import json
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from vlmkit.testing.models import small_checkpoint

SCRIPTED = ("--model", "scripted", "--strategy", "flat")


def records(directory):
    lines = (directory / "predictions.jsonl").read_text().splitlines()
    return {record["id"]: record for record in map(json.loads, lines)}


def one_line(result):
    """Return the one line that a wrong request gives."""
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1, result.stderr
    assert result.stdout == ""
    return result.stderr


def noise(mode="RGB", size=(24, 16)):
    values = np.random.default_rng(0).integers(0, 255, (*reversed(size), 3), dtype=np.uint8)
    return PIL.Image.fromarray(values).convert(mode)


def bomb():
    """Return a small PNG that claims 60,000 x 60,000 pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def turned():
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    return {"exif": exif}


ODD = {
    "sixteen-bit.png": lambda path: PIL.Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(path),
    "cmyk.jpg": lambda path: noise("CMYK").save(path),
    "animated.gif": lambda path: noise("P").save(path, save_all=True, append_images=[noise("L"), noise("1")]),
    "turned.jpg": lambda path: noise().save(path, **turned()),
    "transparent.png": lambda path: noise("LA").save(path),
    "palette.png": lambda path: noise("P").save(path),
    "black-and-white.png": lambda path: noise("1").save(path),
    "one-pixel.png": lambda path: noise(size=(1, 1)).save(path),
    "sliver.png": lambda path: noise(size=(900, 1)).save(path),
    "png-called.jpg": lambda path: noise().save(path, "PNG"),
}


def cut(path):
    noise().save(path)
    path.write_bytes(path.read_bytes()[:-200])


BROKEN = {
    "cut\noff.png": (cut, "broken or cut off"),
    "empty.jpg": (lambda path: path.touch(), "it is empty"),
    "page.jpg": (lambda path: path.write_text("<html>404</html>"), "not a picture in a known format"),
    "bomb.png": (lambda path: path.write_bytes(bomb()), "more than 175,000,000 pixels"),
    "dangling.png": (lambda path: path.symlink_to("nowhere.png"), "there is no such file"),
}


def test_odd_pictures_are_done_and_broken_ones_are_failed_records(vlmkit, tmp_path):
    folder = tmp_path / "pictures" / "cat"
    folder.mkdir(parents=True)
    for name, write in ODD.items():
        write(folder / name)
    for name, (write, _) in BROKEN.items():
        write(folder / name)
    (tmp_path / "labels.txt").write_text("cat\ndog\n")

    result = vlmkit("run", "pictures", "--labels", "labels.txt", *SCRIPTED, "--output", "mine")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    found = records(tmp_path / "mine")
    assert found.keys() == {f"cat/{name}" for name in (*ODD, *BROKEN)}
    for name in ODD:
        assert found[f"cat/{name}"]["error"] is None and found[f"cat/{name}"]["label"] in ("cat", "dog")
    for name, (_, told) in BROKEN.items():
        assert found[f"cat/{name}"]["error"]["type"] == "ImageError"
        assert told in found[f"cat/{name}"]["error"]["message"]
        start = f"failed: cat/{' '.join(name.split())}: "
        line = next(line for line in result.stderr.splitlines() if line.startswith(start))
        assert told in line and line.count("cat/") == 1
    assert json.loads((tmp_path / "mine" / "results.json").read_text())["n"] == {
        "total": len(ODD) + len(BROKEN),
        "done": len(ODD),
        "failed": len(BROKEN),
    }


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("labels.txt", b"", "it holds no labels"),
        ("labels.txt", b"\n  \n", "it holds no labels"),
        ("labels.txt", b"red\nblue\n\nred\n", "line 4: label 'red' stands there and in line 1"),
        (
            "labels.txt",
            b"red\n" + b"x" * 10_000,
            f"line 2: label '{'x' * 40}'... has 10,000",
        ),
        ("labels.txt", b"red\ngr\xfcn\n", "line 2: byte 7 (0xfc) is not UTF-8"),
        ("labels.txt", b"red\tblue\n", "control character"),
        ("labels.txt", b"red\nblue\n", "has the target 'green', which is none of the 2 labels"),
        ("labels.csv", b"label\nred\n", "line 1: no column is called name"),
        ("labels.json", b'["red", ""]', "entry 2: a label is empty"),
        ("labels.json", b'[{"name": "red", "descripton": ""}]', "entry 1: unknown key descripton"),
        ("labels.json", b'["red"', "broken JSON"),
        ("labels.md", b"red", "its suffix does not say what it holds"),
    ],
)
def test_wrong_labels_are_one_line(vlmkit_here, tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    assert told in one_line(vlmkit_here("run", "colours", *SCRIPTED, "--labels", name))
    assert not (tmp_path / "runs").exists()


def test_labels_that_differ_in_case_only_are_used_and_named(vlmkit_here, tmp_path):
    (tmp_path / "labels.txt").write_text("red\nRed\ngrey\nGREY\n")
    result = vlmkit_here("run", "colours:targets=false", *SCRIPTED, "--labels", "labels.txt", "--json")
    assert result.returncode == 0
    assert "warning: these labels differ in case or outer blanks only: 'red', 'Red' (and 1 more such" in result.stderr
    assert json.loads(result.stdout)["collisions"] == [["red", "Red"], ["grey", "GREY"]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return small_checkpoint("qwen3_vl", tmp_path_factory.mktemp("checkpoint"))


def without_one_weight(directory):
    from safetensors.torch import load_file, save_file

    path = directory / "model.safetensors"
    weights = load_file(path)
    del weights["model.language_model.norm.weight"]
    save_file(weights, path, metadata={"format": "pt"})


def with_another_width(directory):
    path = directory / "config.json"
    config = json.loads(path.read_text())
    config["text_config"]["intermediate_size"] *= 2
    path.write_text(json.dumps(config))


def text_only(directory):
    (directory / "config.json").write_text('{"model_type": "qwen3"}')


def gone_from_a_cache(directory):
    path = directory / "model.safetensors"
    path.unlink()
    path.symlink_to("blobs/gone")


def scrambled(directory):
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:8] + bytes(64) + path.read_bytes()[72:])


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda at: (at / "model.safetensors").unlink(), "holds no *.safetensors"),
        (lambda at: (at / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda at: (at / "config.json").unlink(), "has no config.json"),
        (text_only, "model_type 'qwen3' of model takes no images and text together"),
        (lambda at: (at / "model.safetensors").write_bytes(b""), "cannot be loaded: Error while deserializing header"),
        (gone_from_a_cache, "the weights of model model cannot be read: [Errno 2] No such file or directory"),
        (scrambled, "cannot be loaded: Error while deserializing header"),
        (without_one_weight, "lacks weights: model.language_model.norm.weight and 0 more"),
        (with_another_width, "its weights do not fit its config.json"),
        (lambda at: (at / "tokenizer.json").unlink(), "processor of model"),
        (lambda at: [path.unlink() for path in at.glob("tokenizer*")], "tokenizer"),
        (lambda at: (at / "processor_config.json").unlink(), "processor of model"),
        (lambda at: (at / "chat_template.jinja").unlink(), "has no chat template"),
    ],
)
def test_a_damaged_checkpoint_is_one_line_and_no_failed_examples(vlmkit_here, checkpoint, tmp_path, spoil, told):
    directory = tmp_path / "model"
    directory.mkdir()
    for path in checkpoint.iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    spoil(directory)
    line = one_line(vlmkit_here("run", "colours", "--model", "./model", "--strategy", "flat", "--device", "cpu"))
    assert told in line
    assert not list(tmp_path.glob("runs/*/predictions.jsonl"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--device", "cuda:99"), "device cuda:99 was asked for, but there is none"),
        (("--device", "gpu"), "unknown device 'gpu'"),
        (("--device", "meta"), "unknown device 'meta'"),
        (("--dtype", "float31"), "unknown dtype 'float31'; use one of float32, bfloat16, float16"),
    ],
)
def test_a_device_or_precision_that_cannot_be_had_is_one_line(vlmkit_here, checkpoint, tmp_path, options, told):
    assert told in one_line(vlmkit_here("run", "colours", "--model", checkpoint, "--strategy", "flat", *options))
    assert not (tmp_path / "runs").exists()
