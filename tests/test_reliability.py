"""The table of faults names tests that exist, and every test of faults is in it or is about something else."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in PAGE.partition("## Soak")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| fault")
]


def test_every_fault_has_a_line_and_a_test_that_exists():
    assert len(ROWS) > 25
    for fault, seen, kept, tests in ROWS:
        assert fault and seen and kept
        named = re.findall(r"`(\w+\.py)::(\w+)`", tests)
        assert named, fault
        for file, test in named:
            assert re.search(rf"^def {test}\(", (ROOT / "tests" / file).read_text(encoding="utf-8"), re.MULTILINE), test
