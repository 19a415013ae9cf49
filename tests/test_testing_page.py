"""The examples of the page on testing pass as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "testing.md"


@pytest.mark.docs
def test_examples_pass(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    for number, code in enumerate(blocks):
        (tmp_path / f"test_block{number}.py").write_text(code, encoding="utf-8")
    # The profile "ci" of hypothesis has no deadlines: machines are noisy.
    options = ["-q", "-p", "no:cacheprovider", "--hypothesis-profile=ci"]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert "5 passed" in done.stdout, done.stdout
