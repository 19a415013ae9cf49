"""``vlmkit train lora``: what is read, what counts, what is trained, and that it goes on after an interruption."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file

from vlmkit.cli.main import INTERRUPTED
from vlmkit.errors import DataError, ModelError, UnknownNameError
from vlmkit.local.chat import ChatModel
from vlmkit.local.checkpoint import Checkpoint
from vlmkit.prompts import default_prompt
from vlmkit.testing.models import shared_checkpoint
from vlmkit_adapters.tiny import CHECKPOINT
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_train import commands
from vlmkit_train.batches import IGNORED, AlikeBatches, Collator
from vlmkit_train.conversations import Conversations
from vlmkit_train.targets import target_modules

LABELS = Glyphs(labels=4).labels

FAMILIES = ["gemma3", "idefics3", "internvl", "llava_onevision", "mllama", "qwen3_vl"]


def said(*turns):
    """Turns from human and gpt, alternating."""
    return [{"from": ("human", "gpt")[place % 2], "value": text} for place, text in enumerate(turns)]


def asked(letter, *, image=None, text="Which one?\nA. this\nB. that"):
    shown = {} if image is None else {"image": image}
    return {"id": "x", **shown, "conversations": said(f"<image>\n{text}" if image else text, letter)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with 8 pictures of glyphs and 12 conversations, 4 of which show none."""
    directory = tmp_path_factory.mktemp("data")
    lines = []
    for index, example in enumerate(Glyphs(labels=8, images=8)):
        example.images[0].save(directory / f"{index}.png")
        lines.append(asked(LABELS[1].name, image=f"{index}.png", text=default_prompt().render(LABELS)))
    lines += [asked(LABELS[1].name, text=f"Given a {name}, which one?") for name in ("cat", "dog", "ox", "ant")]
    (directory / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return directory


@pytest.fixture
def write(folder):
    def written(*lines):
        path = folder / "written.jsonl"
        path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
        return path

    return written


def chat_of(directory):
    checkpoint = Checkpoint(str(directory), device="cpu")
    return ChatModel(checkpoint, checkpoint.load_processor(), checkpoint.without_weights.load_model())


@pytest.mark.parametrize("name", ["tiny", *FAMILIES])
def test_the_loss_is_on_replies_and_their_end_of_turn_alone(name, write):
    chat = chat_of(CHECKPOINT if name == "tiny" else shared_checkpoint(name))
    several = said("Compare <image> and <image> please", "They are cat and dog.", "Sure?", "yes\nindeed")
    data = Conversations.open(
        write(
            asked("B", image="0.png"),
            asked("oak tree", image="1.png", text="A much longer question, which is why the other one is padded?"),
            {"images": ["0.png", "1.png"], "conversations": several},
            asked("A"),
        )
    )
    for indices in ([0, 1], [2], [3]):
        conversations = [data[index] for index in indices]
        batch = Collator(chat)(conversations)
        for row, conversation in enumerate(conversations):
            ids, labels = batch["input_ids"][row], batch["labels"][row]
            replies = [turn.text for turn in conversation.turns if turn.role == "assistant"]
            wanted = [[*ids, chat.end_tokens[0]] for ids in chat.tokenize(replies)]
            assert labels[labels != IGNORED].tolist() == [token for reply in wanted for token in reply]
            assert (ids[labels != IGNORED] == labels[labels != IGNORED]).all()
            assert not (labels[batch["attention_mask"][row] == 0] != IGNORED).any()


def test_a_reply_follows_the_very_tokens_that_ask_for_it(write, folder):
    chat = chat_of(CHECKPOINT)
    data = Conversations.open(write(asked("B", image="0.png")))
    batch = Collator(chat)([data[0]])
    (start,) = (batch["labels"][0] != IGNORED).nonzero()[0]
    text = chat.chat("Which one?\nA. this\nB. that", 1)
    from PIL import Image

    prompt = chat.processor(text=[text], images=[[Image.open(folder / "0.png")]], return_tensors="pt")
    assert batch["input_ids"][0, :start].tolist() == prompt["input_ids"][0].tolist()
    assert torch.equal(batch["pixel_values"], prompt["pixel_values"])


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(1, 7), st.integers(0, 3))
def test_a_batch_has_one_number_of_images(images, size, epoch):
    order = AlikeBatches(images, size, seed=0)
    order.set_epoch(epoch)
    indices = list(order)
    assert len(indices) == len(order) == -(-len(indices) // size) * size
    batches = [indices[start : start + size] for start in range(0, len(indices), size)]
    assert all(len({images[index] for index in batch}) == 1 for batch in batches)
    assert set(indices) == set(range(len(images)))
    assert len(indices) - len(images) < size * len(Counter(images))


BROKEN = {
    "no JSON": ("{", "line 2: broken JSON at column"),
    "no object": ("[]", "line 2: it is no JSON object"),
    "no turns": ({"conversations": []}, "line 2: conversations is no list of turns"),
    "no text": ({"conversations": [{"from": "human"}]}, "line 2: turn 1 has no text"),
    "a stranger": ({"conversations": [{"from": "bot", "value": ""}]}, "line 2: turn 1 is from 'bot'"),
    "no reply": ({"conversations": said("a", "b", "c")}, "line 2: human and gpt do not speak by turns"),
    "empty reply": ({"conversations": said("a", " ")}, "line 2: turn 2 is an empty reply"),
    "no place": ({"image": "0.png", "conversations": said("a", "b")}, "line 2: 0 times <image> for 1 images"),
    "late image": (
        {"image": "0.png", "conversations": said("a", "b", "<image>", "d")},
        "line 2: turn 3 shows an image",
    ),
    "gpt's image": ({"image": "0.png", "conversations": said("a", "<image>")}, "line 2: turn 2 shows an image"),
    "no image": (asked("A", image="gone.png"), "line 2: there is no image .*gone.png"),
    "no path": (asked("A", image=3), "line 2: image is neither a path nor a list of paths"),
    "no paths": ({**asked("A"), "images": ["0.png", 3]}, "line 2: images is neither a path nor a list of paths"),
    "both": ({**asked("A", image="0.png"), "images": []}, "line 2: it has both image and images"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_wrong_line_is_named_with_the_reason(name, write):
    line, message = BROKEN[name]
    with pytest.raises(DataError, match=message):
        Conversations.open(write(asked("A"), line))


def test_targets_are_maps_of_the_decoder_layers_that_were_asked_for():
    model = Checkpoint(str(shared_checkpoint("qwen3_vl")), device="cpu").without_weights.load_model()
    every = target_modules(model, None, ())
    assert len(every) == 3 * 7
    assert all(name.startswith("model.language_model.layers.") for name in every)
    some = target_modules(model, (1, 2), ("q_proj", "v_proj"))
    assert some == [f"model.language_model.layers.{n}.self_attn.{p}_proj" for n in (1, 2) for p in "qv"]
    with pytest.raises(ModelError, match=r"there is no layer 3: the model has 3; use 0-2"):
        target_modules(model, (0, 3), ())
    with pytest.raises(UnknownNameError, match="unknown target 'q_porj'; did you mean q_proj"):
        target_modules(model, None, ("q_porj",))


TRAIN = ("--rank", "4", "--alpha", "16", "--learning-rate", "0.01", "--batch-size", "4", "--accumulate", "1")


@pytest.fixture
def train(vlmkit_here, folder):
    def trained(output, *more):
        given = ("--data", folder / "data.jsonl", "--output", output, "--device", "cpu")
        return vlmkit_here("train", "lora", *given, *TRAIN, "--steps", "12", "--save-every", "3", *more)

    return trained


def test_training_goes_on_as_if_never_interrupted_and_the_result_loads(train, vlmkit_here, tmp_path, monkeypatch):
    whole = train("whole", "--json", "--quiet")
    assert whole.returncode == 0, whole.stderr
    record = json.loads(whole.stdout)
    assert whole.stderr == ""
    assert record == json.loads((tmp_path / "whole" / "training.json").read_text())
    assert record["status"] == "finished" and record["steps"] == 12
    assert record["curve"][-1]["loss"] < record["curve"][0]["loss"] / 2

    def interrupted(line):
        told.append(line)
        if line.startswith("step 7 "):
            raise KeyboardInterrupt

    told = []

    with monkeypatch.context() as patch:
        patch.setattr(commands, "note", interrupted)
        assert train("parts").returncode == INTERRUPTED
    assert told[-1] == "interrupted; --resume goes on from the last checkpoint"
    assert "holds a training already; add --resume" in train("parts").stderr
    refused = train("parts", "--resume", "--alpha", "8")
    assert refused.returncode == 2
    assert "other settings: settings.alpha was 16.0, is 8.0" in refused.stderr
    resumed = train("parts", "--resume")
    assert "going on from checkpoint-6" in resumed.stderr
    name = "adapter_model.safetensors"
    once, again = (load_file(tmp_path / run / name) for run in ("whole", "parts"))
    assert once.keys() == again.keys()
    assert all(torch.equal(once[key], again[key]) for key in once)
    assert json.loads((tmp_path / "parts" / "training.json").read_text())["curve"] == record["curve"]
    assert "finished already" in train("parts", "--resume").stderr
    assert not (tmp_path / "parts" / "checkpoints").exists()

    run = ("run", "glyphs:labels=4,images=4", "--strategy", "flat", "--quiet", "--json")
    runs = [vlmkit_here(*run, "--output", f"run-{lora}", "--lora", lora) for lora in ("whole", "parts")]
    assert [done.returncode for done in runs] == [0, 0], runs[0].stderr
    lines = (tmp_path / "run-whole" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["label"] for line in lines] == [LABELS[1].name] * 4


@pytest.mark.cuda
def test_training_on_a_device_lowers_the_loss(vlmkit_here, folder):
    given = (
        "--data",
        folder / "data.jsonl",
        "--model",
        shared_checkpoint("qwen3_vl"),
        "--output",
        "out",
        "--recompute",
    )
    done = vlmkit_here("train", "lora", *given, *TRAIN, "--steps", "12", "--device", "cuda", "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["model"]["dtype"] == "bfloat16"
    assert record["curve"][-1]["loss"] < record["curve"][0]["loss"]


def test_options_reach_the_updates(train, tmp_path):
    options = ("--layers", "1-2", "--targets", "q_proj,down_proj", "--dropout", "0", "--steps", "2")
    assert train("plain", *options, "--layers", "9").returncode == 2
    assert train("plain", *options).returncode == 0  # where nothing was trained, nothing needs to be resumed
    assert train("twice", *options, "--recompute").returncode == 0
    plain, twice = (load_file(tmp_path / run / "adapter_model.safetensors") for run in ("plain", "twice"))
    places = {key.partition(".layers.")[2].partition(".lora_")[0] for key in plain}
    assert places == {f"{n}.{name}" for n in (1, 2) for name in ("self_attn.q_proj", "mlp.down_proj")}
    assert {tensor.shape[0] for key, tensor in plain.items() if "lora_A" in key} == {4}
    for key in plain:
        torch.testing.assert_close(plain[key], twice[key])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "scripted"), "adapter scripted has no checkpoint to train"),
        (("--layers", "3-1"), "'3-1' is no range of layers"),
        (("--layers", "9"), "there is no layer 9: the model has 4"),
        (("--data", "gone.jsonl"), "conversation file gone.jsonl cannot be read"),
        (("--output", "."), "is not empty and holds no training"),
    ],
)
def test_a_wrong_request_is_one_line(train, tmp_path, options, message):
    (tmp_path / "something").touch()
    done = train("out", "--quiet", *options)
    assert done.returncode == 2
    assert message in done.stderr and done.stderr.count("\n") == 1


def test_what_is_not_installed_is_named_with_the_command(train, monkeypatch):
    monkeypatch.setattr(commands, "find_spec", lambda package: None)
    done = train("out")
    assert done.returncode == 2
    assert done.stderr == 'error: training needs peft and accelerate; pip install "vlmkit[train]"\n'


def test_the_result_is_what_peft_writes(train, tmp_path):
    assert train("out", "--steps", "1").returncode == 0
    with safe_open(tmp_path / "out" / "adapter_model.safetensors", "pt") as file:
        assert all(".language_model.layers." in key for key in file.keys())  # noqa: SIM118
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_text())["peft_type"] == "LORA"
