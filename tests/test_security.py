"""What docs/security.md promises about code, files, secrets and terminals."""

import ast
import json
import logging
import re
from io import BytesIO
from pathlib import Path

import click
import PIL.Image
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmkit.cli.ending import plain_options
from vlmkit.cli.main import cli
from vlmkit.cli.options import DATA, LOADING, MODEL, WORDS
from vlmkit.cli.output import error, note, one_line, print_json, table, warning
from vlmkit.data.images import ImageLimits, open_image
from vlmkit.data.opening import Opener
from vlmkit.errors import ImageError, ModelError
from vlmkit.redaction import redacted, redacted_values, visible
from vlmkit.testing.server import FakeServer, Fault, answered_by
from vlmkit.types import Example, ImageUrl
from vlmkit_adapters.openai import patience
from vlmkit_adapters.scripted import ScriptedBackend

ROOT = Path(__file__).parents[1]
PRODUCT = [
    path
    for folder in ("vlmkit", "adapters", "strategies", "plugins", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "tests" not in path.parts
]
SECRET = "Zx9-very_Secret.42"


# Code


MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
METHODS = {"load", "load_all", "from_pretrained", "system", "popen"}


def dangers(source):
    """Yield what a source does that could run code which came as data."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from (name for name in names if name.split(".")[0] in MODULES)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield from _broken_rules(node)


def _broken_rules(call):
    said = {keyword.arg: keyword.value for keyword in call.keywords}
    name = call.func.id if isinstance(call.func, ast.Name) else call.func.attr
    owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) and name in METHODS else ""

    def gives(key, value):
        return key in said and ast.unparse(said[key]) == value

    weights = re.match(r"(?!Peft)\w*Model|\w+Generation$", owner) and name == "from_pretrained"
    unsaid = owner.startswith("Auto") and name == "from_pretrained" and "trust_remote_code" not in said
    rules = {
        "runs text": isinstance(call.func, ast.Name) and name in ("eval", "exec", "compile"),
        "runs a shell": (owner == "os" and name in ("system", "popen")) or gives("shell", "True"),
        "lacks weights_only=True": owner == "torch" and name == "load" and not gives("weights_only", "True"),
        "lacks allow_pickle=False": owner in ("np", "numpy") and name == "load" and not gives("allow_pickle", "False"),
        "makes any object": owner == "yaml" and name in ("load", "load_all"),
        "says nothing of remote code": unsaid and not gives(None, "self._options"),
        "takes weights other than safetensors": weights and not gives("use_safetensors", "True"),
    }
    yield from (f"{owner}.{name} {rule}" for rule, broken in rules.items() if broken)


def test_no_source_reads_pickles_or_runs_what_came_as_data():
    found = {str(path.relative_to(ROOT)): list(dangers(path.read_text())) for path in PRODUCT}
    assert len(found) > 200
    assert {path: broken for path, broken in found.items() if broken} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "eval(text)",
        "torch.load(path)",
        "np.load(path)",
        "yaml.load(text)",
        "subprocess.run(text, shell=True)",
        "AutoModel.from_pretrained(x, use_safetensors=True)",
        "AutoModel.from_pretrained(x, trust_remote_code=False)",
    ],
)
def test_the_walk_over_the_sources_finds_what_it_looks_for(source):
    assert list(dangers(source))


def test_weights_in_pickles_are_refused_with_one_line(tmp_path, vlmkit_here):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "qwen3_vl"}')
    (tmp_path / "model" / "pytorch_model.bin").write_bytes(b"never read")
    ended = vlmkit_here("run", "glyphs", "--model", "model")
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert "only safetensors are loaded (it holds pytorch_model.bin)" in ended.stderr


def test_remote_code_is_said_in_a_warning_and_in_the_identity(tmp_path, vlmkit_here):
    from vlmkit.local.checkpoint import Checkpoint

    ended = vlmkit_here("run", tmp_path / "none", "--trust-remote-code")
    assert ended.stderr.startswith("warning: --trust-remote-code: code that comes with the model may run")
    assert Checkpoint(str(tmp_path), device="cpu", trust_remote_code=True).identity["trust_remote_code"] is True
    assert "trust_remote_code" not in Checkpoint(str(tmp_path), device="cpu").identity


def test_code_in_a_checkpoint_does_not_run_unasked(tmp_path):
    from vlmkit.local.checkpoint import Checkpoint

    proof = tmp_path / "ran"
    (tmp_path / "own.py").write_text(f"open({str(proof)!r}, 'w')\n")
    auto = dict.fromkeys(("AutoConfig", "AutoProcessor", "AutoModelForImageTextToText"), "own.Own")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": auto}))
    checkpoint = Checkpoint(str(tmp_path), device="cpu")
    for act in (checkpoint.check_reads_images, checkpoint.load_model, checkpoint.load_processor):
        with pytest.raises(ModelError):
            act()
    assert not proof.exists()


# Pictures


def encoded(size=(8, 4), kind="PNG"):
    stream = BytesIO()
    PIL.Image.new("RGB", size).save(stream, kind)
    return stream.getvalue()


def test_pictures_over_a_limit_are_refused():
    data = encoded()
    assert open_image(data, limits=ImageLimits(pixels=32, bytes=len(data))).pixels.size == (8, 4)
    with pytest.raises(ImageError, match="more than 31 pixels"):
        open_image(data, limits=ImageLimits(pixels=31))
    with pytest.raises(ImageError, match=f"{len(data)} bytes, more than {len(data) - 1}"):
        open_image(data, limits=ImageLimits(bytes=len(data) - 1))
    with pytest.raises(ImageError, match="2 images, more than 1"):
        Opener(images=1).open(Example("one", (data, data)))
    with pytest.raises(ImageError, match="nothing is fetched by default"):
        open_image(ImageUrl("http://example.org/a.png"))


@pytest.mark.parametrize("kind", ["EPS", "PDF", "ICO", "TGA", "PCX", "SGI"])
def test_formats_that_are_not_listed_are_not_opened(kind):
    with pytest.raises(ImageError, match="not a picture in a known format"):
        open_image(encoded((16, 16), kind))


def test_a_picture_over_a_limit_fails_its_example_and_pillow_is_left_alone(tmp_path, vlmkit_here):
    before = PIL.Image.MAX_IMAGE_PIXELS
    for name, size in (("small", (4, 4)), ("large", (40, 40))):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "1.png").write_bytes(encoded(size))
    ended = vlmkit_here("run", "data", "--model", "scripted", "--max-image-pixels", "100", "--output", "out")
    records = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert ended.returncode == 1 and [record["error"] is None for record in records] == [False, True]
    assert "more than 100 pixels" in records[0]["error"]["message"]
    assert before == PIL.Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("image", ["../secret.png", "inside/../1.png", "link.png", "folder/secret.png", "{outside}"])
def test_paths_that_leave_the_root_are_refused_with_their_line(image, tmp_path, vlmkit_here):
    root = tmp_path / "root"
    root.mkdir()
    (root / "1.png").write_bytes(encoded())
    (tmp_path / "secret.png").write_bytes(encoded())
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "folder").symlink_to(tmp_path)
    image = image.format(outside=tmp_path / "secret.png")
    (root / "list.csv").write_text(f"image\n1.png\n{image}\n")
    ended = vlmkit_here("run", root / "list.csv", "--image-root", root, "--model", "scripted")
    assert ended.returncode == 2 and re.search(r"list\.csv, line 3: image .* leaves ", ended.stderr)


def test_paths_below_the_root_are_read(tmp_path, vlmkit_here):
    (tmp_path / "1.png").write_bytes(encoded())
    (tmp_path / "list.csv").write_text("image,label\n1.png,red\n")
    ended = vlmkit_here("run", "list.csv", "--image-root", tmp_path, "--model", "scripted", "--output", "out")
    assert ended.returncode == 0
    other = vlmkit_here("run", "glyphs", "--image-root", tmp_path, "--model", "scripted")
    assert other.returncode == 2 and "has no option image-root" in other.stderr


# Secrets

secrets = st.text("abcdefghijkLMNOP0123456789-_.%~", min_size=8, max_size=40).map(lambda text: f"Q{text}Q")
FORMS = (
    "openai:base_url=https://me:{}@host/v1,model=m",
    "openai:base_url=https://{}@host/v1",
    "openai:base_url=https://me:a/{}?b#c@host/v1",
    "openai:base_url=https://host/v1?key={},model=m",
    "openai:base_url=https://host/v1?a=1&sig={}#{}",
    "other:api_key={},model=m",
    "other:hf-token={}",
    'other:password="{} {}"',
    "Authorization: Bearer {}",
    '{{"x-api-key": "{}", "token": "{}"}}',
    "sk-proj-0123456789abcdef{}",
)


@click.command()
@DATA
@MODEL
@WORDS
@LOADING
@click.pass_context
def shown(context, **_):
    print_json(redacted_values(plain_options(context)))


@settings(max_examples=40)
@given(secrets, st.sampled_from(FORMS), st.sampled_from(["--model", "--taxonomy", "--prompt", "--labels"]))
def test_no_option_carries_a_secret_into_the_configuration(secret, form, option):
    text = form.replace("{}", secret).replace("{{", "{").replace("}}", "}")
    done = CliRunner().invoke(shown, [option, text])
    assert done.exit_code == 0 and "***" in done.output and secret not in done.output
    assert redacted(redacted(text)) == redacted(text)


@settings(max_examples=20)
@given(secrets, st.sampled_from(FORMS[:7]))
def test_no_error_of_the_command_line_repeats_a_secret(secret, form):
    done = CliRunner().invoke(cli, ["run", "glyphs", "--model", form.replace("{}", secret)])
    assert done.exception is not None and not isinstance(done.exception, SystemExit)
    assert secret not in str(done.exception) and secret not in repr(done.exception) and secret not in done.output


@given(st.text())
def test_texts_without_secrets_stay_as_they_are(text):
    assert redacted(text) == text or re.search(r"://|[=:]|bearer\s|sk-|hf_", text, re.IGNORECASE)


def test_what_looks_a_little_like_a_secret_stays():
    for text in (
        "text:max_tokens=4096,token_ids=yes",
        "hf://datasets/owner/name@0a1b/1.png",
        "write NAME:key=value",
        "see https://example.org/page.html; fine",
        "a label such as secretary bird or token ring",
        "/etc/passwd: it is not a picture",
    ):
        assert redacted(text) == text


def test_a_server_that_repeats_the_key_is_not_repeated(tmp_path, vlmkit_here, caplog, monkeypatch):
    """The key comes back in the server's error, and so does what a proxy on the way knows."""
    caplog.set_level(logging.INFO, logger="vlmkit_adapters")
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.01)
    (tmp_path / "pictures").mkdir()
    for number in range(2):
        (tmp_path / "pictures" / f"{number}.png").write_bytes(encoded((4, 4 + number)))
    (tmp_path / "labels.txt").write_text("red\nblue\n")
    echo = (
        f"bad key {SECRET}; sent Authorization: Bearer {SECRET} to http://proxy:{SECRET[:-1]}@inner/?key={SECRET[1:]}"
    )
    offers = "logprobs=no,token_ids=no,choices=none,length=max_tokens,greedy=yes"
    faults = [Fault("status", status, message=echo) for status in (503, 400, 400)]
    with FakeServer(answered_by(ScriptedBackend()), faults=faults, key=SECRET) as server:
        model = f"openai:base_url={server.base_url},model=fake,{offers}"
        run = (
            "run",
            "pictures",
            "--labels",
            "labels.txt",
            "--model",
            model,
            "--strategy",
            "flat:readout=text",
            "--json",
        )
        ended = vlmkit_here(*run, "--log-samples", "--output", "out", OPENAI_API_KEY=SECRET)
        assert {request.key for request in server.requests} == {SECRET}
    assert ended.returncode == 1
    written = [path.read_text() for path in (tmp_path / "out").rglob("*.json*")]
    assert any("bad key ***" in text for text in written) and "retry 1 of 5" in caplog.text
    for text in (*written, ended.stdout, ended.stderr, caplog.text):
        assert SECRET[1:-1] not in text


# Terminals

STEERING = st.text(st.characters(categories=["Cc"]) | st.sampled_from("‪‮⁦⁩abc "), min_size=1)


@given(STEERING)
def test_nothing_that_steers_a_terminal_is_shown(text):
    assert visible(text).replace("\n", "").replace("\t", "").isprintable()
    assert one_line(text).isprintable()
    assert visible(visible(text)) == visible(text)


def test_tables_messages_and_json_steer_no_terminal(capsys):
    from vlmkit.cli.output import console

    wild = "crane\x1b[2J\x9b31m\x07‮gnp.\x1b]0;title\x07"
    for say in (note, warning, error):
        say(wild)
    console().print(table(("id", wild), [[wild, wild]]))
    print_json({"label": wild})
    out, err = capsys.readouterr()
    assert json.loads(out[out.index("{") :]) == {"label": wild}
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", out + err)


def test_labels_and_file_names_steer_no_terminal(tmp_path, vlmkit_here):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a\x1b]0;owned\x07.png").write_bytes(encoded())
    (tmp_path / "data" / "b\x1b[31m.png").write_bytes(b"broken")
    (tmp_path / "labels.txt").write_text("gnp\u202e.crane\ngnp\u202e.heron\n")
    run = ("run", "data", "--labels", "labels.txt", "--model", "scripted", "--fail-on-error", "100%", "--output", "out")
    ended = vlmkit_here(*run)
    assert ended.returncode == 0 and r"b\x1b[31m.png" in ended.stderr and r"a\x1b]0;owned\x07.png" in ended.stdout
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", ended.stdout + ended.stderr)
    (tmp_path / "labels.txt").write_text("cr\x1b[2Jane\n")
    refused = vlmkit_here(*run)
    assert refused.returncode == 2 and "control character" in refused.stderr and "\x1b" not in refused.stderr


# The page


def test_every_promise_names_a_test_that_is_there():
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 15
    for path, test in named:
        assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), (path, test)
