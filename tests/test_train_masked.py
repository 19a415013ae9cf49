"""``vlmkit train lora --strategy masked``: the mask of inference, while a model is trained."""

from __future__ import annotations

import json

import pytest
import torch

from vlmkit import Mask
from vlmkit.local.chat import ChatModel
from vlmkit.local.checkpoint import Checkpoint
from vlmkit.local.masking import IMAGE_OF, masked
from vlmkit.testing.models import shared_checkpoint
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_train.batches import Collator
from vlmkit_train.conversations import Conversations


@pytest.fixture
def folder(tmp_path):
    """A folder with three pictures of glyphs and four conversations about all of them."""
    names = []
    for index, example in enumerate(Glyphs(labels=3, images=3)):
        names.append(f"{index}.png")
        example.images[0].save(tmp_path / names[-1])
    lines = [
        {
            "images": names[:shown],
            "conversations": [
                {"from": "human", "value": "<image>" * shown + f"What is in image {shown}, please?" * index},
                {"from": "gpt", "value": "a circle"},
            ],
        }
        for shown in (3, 1)
        for index in (1, 2)
    ]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


@pytest.mark.parametrize("name", ["qwen3_vl", "gemma3", "internvl", "llava_onevision"])
def test_batches_say_which_image_a_token_belongs_to(name, folder):
    checkpoint = Checkpoint(str(shared_checkpoint(name)), device="cpu")
    chat = ChatModel(checkpoint, checkpoint.load_processor(), checkpoint.load_model())
    data = Conversations.open(folder / "data.jsonl")
    batch = Collator(chat, owners=True)([data[0], data[1]])
    visual = batch["input_ids"] == chat.model.config.image_token_id
    assert torch.equal(batch[IMAGE_OF] >= 0, visual)
    for row in range(2):
        sizes = [int((batch[IMAGE_OF][row] == image).sum()) for image in range(3)]
        assert sizes == [int(visual[row].sum()) // 3] * 3
        assert batch[IMAGE_OF][row][visual[row]].diff().min() >= 0
    # Padded, both rows see what each sees alone.
    with masked(chat.model, Mask("all")), torch.no_grad():
        both = chat.model(**batch).logits
        for row in range(2):
            alone = Collator(chat, owners=True)([data[row]])
            real = batch["attention_mask"][row].bool()
            torch.testing.assert_close(both[row, real], chat.model(**alone).logits[0], rtol=1e-3, atol=1e-3)


def test_a_lora_is_trained_under_the_mask(vlmkit_here, folder):
    def trained(output, *more):
        given = ("--data", folder / "data.jsonl", "--output", output, "--device", "cpu", "--steps", "3", "--rank", "4")
        numbers = ("--batch-size", "2", "--accumulate", "1", "--dropout", "0", "--learning-rate", "0.01")
        return vlmkit_here("train", "lora", *given, *numbers, "--quiet", "--json", *more)

    plain, nowhere, deep, twice = (
        json.loads(done.stdout)
        for done in (
            trained("plain"),
            trained("nowhere", "--strategy", "masked:layers=none"),
            trained("deep", "--strategy", "masked:layers=2-3,text=false"),
            trained("twice", "--strategy", "masked:layers=2-3,text=false", "--recompute"),
        )
    )
    assert plain["settings"]["mask"] is None
    assert deep["settings"]["mask"] == {"layers": "2-3", "text": False}
    assert nowhere["curve"] == plain["curve"] != deep["curve"] == twice["curve"]


@pytest.mark.parametrize("spec", ["flat", "masked+masked", "vote:permutations=2"])
def test_other_strategies_train_nothing(spec, vlmkit_here, folder):
    done = vlmkit_here("train", "lora", "--data", folder / "data.jsonl", "--output", "out", "--strategy", spec)
    assert done.returncode == 2
    assert "no model can be trained with strategy" in done.stderr
