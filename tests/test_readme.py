"""What the README shows, run as shown."""

from __future__ import annotations

import re
from pathlib import Path

from vlmkit import Pipeline
from vlmkit_glyphs.dataset import Glyphs

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def python_blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_it_opens_with_the_two_commands():
    first = README.index("```console")
    assert README.index("$ make demo") < README.index("$ make test") < README.index("##")
    assert first < README.index("$ make demo")


def test_no_figure_is_left_open():
    assert "@@" not in README


def test_pipeline_example_prints_a_label_for_each_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pictures = [example.images[0] for example in Glyphs(labels=2, images=2)]
    for name, picture in zip(("apple.jpg", "pear.jpg"), pictures, strict=True):
        picture.save(name)
    exec(python_blocks()[0], {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] in ("apple", "pear", "quince") for line in lines] == [True, True]


def test_strategy_example_solves_a_task():
    names: dict[str, type] = {}
    exec(python_blocks()[1], names)
    data = Glyphs(labels=5, images=2)
    predictions = [one.prediction for one in Pipeline("tiny", names["Best"]()).solve(data, data.labels)]
    assert all(prediction.label in data.labels for prediction in predictions)
