"""The Python way in: models by name, pictures in, predictions out."""

import io
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from vlmkit import Example, LabelSpace, Pipeline
from vlmkit.engine.models import build_backend
from vlmkit.errors import CapabilityError, ImageError, LabelError, ModelError, SpecError, UnknownNameError
from vlmkit.registry import Builder
from vlmkit.types import ImageUrl

NAMES = ["red", "green", "blue"]


@pytest.fixture
def pipeline(toy_host):
    with Pipeline("colours", "whole", plugins=toy_host) as made:
        yield made


def picture(colour):
    return PIL.Image.new("RGB", (3, 3), colour)


def test_paths_bytes_and_open_pictures_are_classified_in_order(pipeline, tmp_path):
    path = tmp_path / "a.png"
    picture((0, 0, 200)).save(path)
    encoded = io.BytesIO()
    picture((0, 200, 0)).save(encoded, "PNG")
    images = [path, str(path), encoded.getvalue(), picture((200, 0, 0)), io.BytesIO(encoded.getvalue())]
    colours = [prediction.label for prediction in pipeline.classify(images, NAMES)]
    assert colours == ["blue", "blue", "green", "red", "green"]
    encoded.seek(0)
    assert next(pipeline.classify(encoded, NAMES)).label == "green"


def test_one_picture_and_a_label_file_will_do(pipeline, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("red\nblue\n", encoding="utf-8")
    for given in (labels, str(labels), LabelSpace(["red", "blue"])):
        (prediction,) = pipeline.classify(picture((200, 0, 0)), given)
        assert prediction.label == "red"
        assert prediction.ranking.labels == ("red", "blue")


def test_pictures_are_taken_as_they_come(pipeline):
    def endless():
        while True:
            yield picture((200, 0, 0))

    assert next(pipeline.classify(endless(), NAMES)).label == "red"


def test_a_question_is_answered_in_text(pipeline):
    (prediction,) = pipeline.ask(picture((0, 0, 0)), "What is this?")
    assert prediction.text == "a reply to What is this?"


def test_what_is_no_picture_or_no_label_is_said(pipeline):
    with pytest.raises(ImageError, match="image 0: ndarray is no picture; give a path, encoded bytes or a PIL"):
        list(pipeline.classify([np.zeros((4, 4, 3))], NAMES))
    for address in ("http://here/a.png", ImageUrl("http://here/a.png")):
        with pytest.raises(ImageError, match="it lies on a server, and nothing is fetched by default"):
            list(pipeline.classify(address, NAMES))
    for nothing in (None, []):
        with pytest.raises(LabelError, match="no labels to choose from"):
            pipeline.classify(picture((200, 0, 0)), nothing)
    with pytest.raises(LabelError, match="label 1 is no text"):
        list(pipeline.classify(picture((200, 0, 0)), [1, 2]))


def test_a_broken_picture_raises_in_classify_and_is_a_record_in_solve(pipeline):
    with pytest.raises(ImageError):
        list(pipeline.classify([b"no picture"], NAMES))
    examples = [Example("bad", (b"no picture",)), Example("good", (picture((200, 0, 0)),))]
    bad, good = pipeline.solve(examples, NAMES)
    assert isinstance(bad.error, ImageError)
    assert good.prediction.label == "red"


def test_it_closes_the_backend_that_it_built_and_leaves_a_given_one(toy_host, monkeypatch):
    closed = []
    backend = build_backend("colours", Builder(toy_host.registry))
    monkeypatch.setattr(type(backend), "close", lambda self: closed.append(self))
    with Pipeline(backend, "whole", plugins=toy_host):
        pass
    assert closed == []
    with Pipeline("colours:fail=red", "whole", plugins=toy_host) as pipeline:
        pass
    assert closed == [pipeline.backend]


def test_a_missing_capability_is_found_before_anything_runs(toy_host):
    with pytest.raises(CapabilityError, match="Letters needs letter, which colours cannot do"):
        Pipeline("colours", "letters", plugins=toy_host)


def checkpoint(directory, config, *files):
    directory.mkdir()
    if config is not None:
        (directory / "config.json").write_text(config, encoding="utf-8")
    for name in files:
        (directory / name).touch()
    return str(directory)


def test_a_checkpoint_directory_is_given_to_the_adapter_of_its_type(toy_host, tmp_path):
    path = checkpoint(tmp_path / "model", json.dumps({"model_type": "colour_vl"}), "model.safetensors")
    backend = build_backend(path, Builder(toy_host.registry), device="cuda")
    assert backend.identity == {"model": path, "fail": None, "device": "cuda"}


def test_model_and_prompt_may_be_paths(toy_host, tmp_path):
    path = checkpoint(tmp_path / "model", json.dumps({"model_type": "colour_vl"}), "model.safetensors")
    prompt = tmp_path / "mine.jinja"
    prompt.write_text("{% for option in options %}{{ option.name }}{% endfor %}", encoding="utf-8")
    with Pipeline(Path(path), "whole", prompt=prompt, plugins=toy_host) as pipeline:
        assert pipeline.backend.identity["model"] == path
        assert pipeline.prompt.name == "mine.jinja"


def test_a_backend_that_is_made_is_not_told_how_to_load(toy_host):
    backend = build_backend("colours", Builder(toy_host.registry))
    with pytest.raises(
        SpecError, match=r"^dtype cannot be chosen for a ColourBackend, which is made already; choose it where"
    ):
        Pipeline(backend, "whole", plugins=toy_host, device=None, dtype="bfloat16")
    assert Pipeline(backend, "whole", plugins=toy_host).on("cuda:1").backend is backend


def test_an_adapter_spec_is_built_with_its_options(toy_host):
    assert build_backend("colours:fail=red", Builder(toy_host.registry)).fail == "red"
    with pytest.raises(UnknownNameError, match="did you mean fail"):
        build_backend("colours:fial=red", Builder(toy_host.registry))


@pytest.mark.parametrize(
    ("config", "files", "message"),
    [
        (None, ["model.safetensors"], "has no config.json"),
        ("{", ["model.safetensors"], "cannot be read"),
        ("[]", ["model.safetensors"], "holds no JSON object"),
        ("{}", ["model.safetensors"], "has no model_type"),
        ('{"model_type": "colour_vl"}', ["pytorch_model.bin", "notes.md"], r"only safetensors.*\(it holds pytorch_mo"),
        ('{"model_type": "colour_vl"}', [], r"holds no \*\.safetensors"),
        ('{"model_type": "bert"}', ["model.safetensors"], "no adapter loads model_type 'bert'.*supported: colour_vl"),
    ],
)
def test_an_unusable_directory_is_refused_with_the_reason(toy_host, tmp_path, config, files, message):
    with pytest.raises(ModelError, match=message):
        build_backend(checkpoint(tmp_path / "model", config, *files), Builder(toy_host.registry))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("colors", "did you mean colours"),
        ("./nowhere", "no model directory ./nowhere"),
        ("/no/such/place", "no model directory"),
        (__file__, "is a file"),
        ("long" * 100, r"no adapter and no directory; known: .*\w\. A hub id has the form OWNER/NAME"),
        ("~nobody-at-all/model", "no model directory ~nobody-at-all/model"),
    ],
)
def test_no_such_model(toy_host, model, message):
    with pytest.raises(ModelError, match=message):
        build_backend(model, Builder(toy_host.registry))


def test_an_unreachable_hub_is_said_in_one_line(vlmkit, toy):
    result = vlmkit("run", "colours", "--model", "nobody/nothing", "--strategy", "whole")
    assert result.returncode == 2
    assert result.stderr.startswith("error: model nobody/nothing cannot be fetched from the hub")
    assert result.stderr.count("\n") == 1
