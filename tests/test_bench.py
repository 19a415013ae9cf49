"""``vlmkit bench speed`` as a user meets it, and the count of operations behind it; how fast is for its reports."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from vlmkit.bench.flops import Flops
from vlmkit.cli.main import main
from vlmkit.testing.models import sized_checkpoint

QUICK = ("--images", "1", "--in-flight", "1", "--sample", "1", "--batch", "2", "--device", "cpu")
SIDES = {"generate", "generate_batched", "label_loop"}


def test_json_of_a_random_model(vlmkit):
    result = vlmkit("bench", "speed", "random:qwen3-vl-1m", *QUICK, "--labels", "4,30", "--group-size", "10", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["model"] == "random:qwen3-vl-1m" and found["sample"] == 1
    cells = {(one["labels"], one["readout"]): one for one in found["results"]}
    assert cells.keys() == {(labels, readout) for labels in (4, 30) for readout in ("letter", "likelihood")}
    for (labels, readout), one in cells.items():
        assert one["strategy"] == f"dci:group_size=10,readout={readout}"
        assert one["questions_per_image"] == (1 if labels == 4 else 4)
        assert one["ratios"].keys() == SIDES and all(ratio > 0 for ratio in one["ratios"].values())
        assert one["images_per_second"].keys() == SIDES | {"vlmkit"}
        assert 0 < one["tokens"]["ideal"] <= one["tokens"]["forwarded"] <= 1.1 * one["tokens"]["ideal"]
        assert 0 < one["mfu"] < 1 and 0 < one["host_share"] < 1
        assert one["peak_memory_bytes"] > 2**20
    for labels in (4, 30):
        assert cells[labels, "letter"]["flops_per_image"] != cells[labels, "likelihood"]["flops_per_image"]


def test_table_of_the_embedded_model(vlmkit):
    result = vlmkit("bench", "speed", "tiny", *QUICK, "--labels", "5", "--readout", "likelihood")
    assert result.returncode == 0, result.stderr
    for wanted in ("5 labels", "groups of 20", "likelihood", "times as fast as generate", "ideal trie", "GFLOP/s"):
        assert wanted in result.stdout
    assert "opening tiny" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["random:qwen3-vl-100b"], "did you mean qwen3-vl-100m"),
        (["scripted"], "adapter scripted has no checkpoint"),
        (["tiny", "--labels", "1"], "1 is not in the range"),
        (["tiny", "--labels", "ten"], "'ten' is not a valid integer"),
        (["tiny", "--labels", "5000"], "glyphs cannot have 5,000 labels"),
        (["tiny", "--readout", "text"], "'text' is not one of"),
        (["tiny", "--strategy", "dice"], "unknown strategy 'dice'"),
        (["tiny", "--strategy", "flat"], "option 'group-size'"),
        (["tiny", "--group-size", "50"], "26 letters"),
        (["tiny", "--dtype", "int8"], "unknown dtype 'int8'"),
    ],
)
def test_a_wrong_request_is_one_line(capsys, arguments, said):
    with pytest.raises(SystemExit) as end:
        main(["bench", "speed", "--device", "cpu", *arguments])
    assert end.value.code == 2
    shown = capsys.readouterr()
    *notes, error = shown.err.splitlines()
    assert error.startswith("error: ") and said in error
    assert all(line.startswith(("opening ", "100 labels, ")) for line in notes)
    assert shown.out == ""


def test_help_imports_no_torch(environment):
    script = (
        "import sys\nfrom vlmkit.cli.main import main\n"
        "try:\n    main(['bench', 'speed', '--help'])\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        "assert not {'torch', 'transformers'} & sys.modules.keys()"
    )
    result = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_operations_are_those_that_torch_counts(tmp_path):
    from transformers import AutoModelForImageTextToText

    directory = sized_checkpoint("qwen3-vl-1m", tmp_path / "model")
    model = AutoModelForImageTextToText.from_pretrained(directory, dtype=torch.float32, attn_implementation="sdpa")
    image = model.config.image_token_id
    merged, words = 16, 100
    ids = torch.tensor([[*[image] * merged, *[1] * words]])
    inputs = {
        "input_ids": ids,
        "mm_token_type_ids": (ids == image).int(),
        "pixel_values": torch.zeros(4 * merged, 3 * 2 * 16 * 16),
        "image_grid_thw": torch.tensor([[1, 8, 8]]),
    }
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(**inputs)
    flops = Flops.of(model.config)
    tokens = merged + words
    # torch counts all pairs of a full forward, those that the mask hides too.
    counted = flops.language(tokens, tokens**2, tokens) + flops.vision([4 * merged])
    assert counter.get_total_flops() == pytest.approx(counted, rel=0.002)


def test_operations_of_other_architectures_are_not_guessed():
    from transformers import Gemma3Config

    assert Flops.of(Gemma3Config()) is None
