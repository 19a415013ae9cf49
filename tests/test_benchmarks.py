"""The benchmark scripts run and their two sides answer the same questions; how fast is for their reports to say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(BENCHMARKS / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_dci_against_generate():
    figures = json.loads(run("dci_vs_generate.py", "--labels", "60", "--images", "2", "--in-flight", "1", "--json"))
    for dtype in ("float32", "bfloat16"):
        assert figures[dtype]["queries_per_image"] == 4
        assert figures[dtype]["same_choice"] >= 0.5
        assert figures[dtype]["ratio"] > 0


def test_tiny_curve():
    table = run("tiny_curve.py", "--images", "2", "--labels", "5,10").splitlines()
    assert [line.split("|")[1].strip() for line in table[:5]] == [
        "labels",
        "---",
        "`flat`",
        "`dci:group_size=20`",
        "`dci:policy=paper,group_size=20`",
    ]
