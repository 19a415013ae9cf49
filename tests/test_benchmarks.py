"""The benchmark scripts run and their two sides answer the same questions; how fast is for their reports to say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(name: str, *arguments: str, **variables: str) -> str:
    command = [sys.executable, str(BENCHMARKS / name), *arguments]
    environment = {**os.environ, **variables}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


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


def test_gpu_report_goes_the_same_way_on_the_cpu(tmp_path):
    scale = ("--dtype", "float32", "--size", "qwen3-vl-1m", "--labels", "25", "--images", "1", "--in-flight", "1")
    run("gpu.py", "internvl", "--device", "cpu", *scale, "--output", str(tmp_path))
    (page,) = tmp_path.glob("*-cpu.md")
    report = page.read_text(encoding="utf-8")
    for wanted in ("all within 0.0001 nats", "| internvl |", "questions", "skipped in", "transformers"):
        assert wanted in report
    assert report.count("ratio") == 2


def test_gpu_without_a_device_says_so_and_succeeds():
    assert run("gpu.py", CUDA_VISIBLE_DEVICES="") == "no CUDA device here: nothing measured\n"


def test_attention_is_the_same_each_way():
    small = ("--rows", "3", "--width", "8", "--depth", "12", "--times", "1", "--flex")
    lines = [line.split() for line in run("attention.py", *small).splitlines()[1:]]
    assert [line[:2] for line in lines] == [
        [dtype, way] for dtype in ("float32", "bfloat16") for way in ("fused", "products", "split", "flex")
    ]
    for dtype, *_, off in lines:
        assert float(off) < {"float32": 1e-5, "bfloat16": 5e-2}[dtype]
