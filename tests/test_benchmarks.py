"""The benchmark scripts run and their two sides answer the same questions; how fast is for their reports to say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_cpu_attention_is_timed_both_ways():
    lines = run("cpu_attention.py", "--rows", "2", "--queries", "8", "--keys", "12", "--times", "1").splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["float32", "bfloat16"]


def test_ways_to_predict_paths():
    table = run("paths_table.py", "--labels", "12", "--images", "2").splitlines()
    assert [line.split("|")[1].strip() for line in table[2:4]] == ["`tree:descend=flat-by-level+flat`", "`tree+flat`"]
    assert len(table) == 2 + 6 + 2


@pytest.mark.slow
def test_a_lora_is_measured_by_hca():
    sizes = ("--base-steps", "60", "--images", "40", "--test-images", "20", "--steps", "30")
    table = run("lora_hierarchy.py", *sizes).splitlines()
    assert [line.split("|")[1].strip() for line in table[2:4]] == ["before", "after"]
    por = [float(line.split("|")[5].partition("%")[0]) for line in table[2:4]]
    assert por[1] > por[0]  # thirty steps teach the words, if not the paths


def test_question_bank():
    figures = json.loads(run("question_bank.py", "--questions", "600", "--json"))
    assert figures["questions"] == 600
    assert figures["processor_seconds"] >= 0
