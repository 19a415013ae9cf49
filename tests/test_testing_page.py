"""The examples of the page on testing pass as they stand."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "testing.md"


@pytest.mark.docs
def test_examples_pass(tmp_path):
    passed = []
    for code in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        names = {"__name__": "example"}
        exec(code, names)
        for name, test in names.items():
            if name.startswith("test_"):
                fixtures = {"tmp_path": tmp_path} if "tmp_path" in inspect.signature(test).parameters else {}
                test(**fixtures)
                passed.append(name)
    assert len(passed) == 5
