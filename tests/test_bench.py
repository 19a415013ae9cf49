"""``vlmkit bench speed`` as a user meets it, and the count of operations behind it; how fast is for its reports."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from vlmkit.cli.main import main

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
