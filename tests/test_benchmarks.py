"""The benchmark scripts run and their two sides answer the same questions; how fast is for their reports to say."""

from __future__ import annotations

import importlib
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a script as ``python benchmarks/NAME`` does, but in this process, and return what it prints."""

    def call(name: str, *arguments: str) -> str:
        script = str(BENCHMARKS / name)
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(script, run_name="__main__")
        assert end.value.code == 0
        return capsys.readouterr().out

    return call


def test_dci_against_generate(run):
    figures = json.loads(run("dci_vs_generate.py", "--labels", "60", "--images", "2", "--in-flight", "1", "--json"))
    for dtype in ("float32", "bfloat16"):
        assert figures[dtype]["queries_per_image"] == 4
        assert figures[dtype]["same_choice"] >= 0.5
        assert figures[dtype]["ratio"] > 0


def gpu_report(run: Run, folder: Path, *options: str) -> tuple[str, list[str]]:
    """Return the report of a quick run on the CPU, and what became of each part."""
    run("gpu.py", "--device", "cpu", "--quick", *options, "--output", str(folder))
    (page,) = folder.glob("*-cpu.md")
    report = page.read_text(encoding="utf-8")
    table = report.partition("|---|")[2].partition("\n\n")[0].splitlines()[1:]
    return report, [line.split("|")[4].strip() for line in table]


@pytest.mark.thorough
def test_gpu_report_goes_the_same_way_on_the_cpu(run, tmp_path):
    report, outcomes = gpu_report(run, tmp_path, "--part", "attention", "--part", "tests")
    assert outcomes == ["fine", "fine"]
    for wanted in ("milliseconds a call", "skipped in", "transformers"):
        assert wanted in report


@pytest.mark.slow
def test_gpu_report_has_every_part(run, tmp_path):
    report, outcomes = gpu_report(run, tmp_path)
    assert outcomes == ["fine"] * 8
    for wanted in ("all within 0.0001 nats", "all within 1.25 nats", "internvl", "skipped in"):
        assert wanted in report
    for wanted in ("times as fast as generate", "share of peak FLOP/s", "host's share"):
        assert wanted in report
    assert "random:qwen3-vl-1m" in report and "random:/" not in report


def test_gpu_report_says_what_a_part_came_to(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    gpu = importlib.import_module("gpu")
    endless = "import time; print('begun', flush=True); time.sleep(600)"
    slow = gpu.run(gpu.Part("slow", "Slow", 3, ("timeit", "-n", "1", endless)))  # time enough to begin
    wrong = gpu.run(gpu.Part("wrong", "Wrong", 20, ("vlmkit", "parity", "--dtype", "int3")))
    assert (slow.verdict, slow.said) == ("not done in 3 s", "begun")
    assert wrong.verdict == "exit code 2" and "unknown dtype" in wrong.said
    page = gpu.report([slow, wrong], "cpu", "python benchmarks/gpu.py")
    assert f"| Slow | {slow.seconds:.0f} | 3 | not done in 3 s |" in page and str(BENCHMARKS.parent) not in page


def test_gpu_parts_take_under_ten_minutes_together(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    gpu = importlib.import_module("gpu")
    parts = list(gpu.parts("qwen3-vl-8b", "cuda", gpu.FULL))
    # The rest is for drawing the model.
    assert sum(part.seconds for part in parts) <= 555
    assert len({part.name for part in parts}) == len(parts)


def test_gpu_without_a_device_says_so_and_succeeds():
    command = [sys.executable, str(BENCHMARKS / "gpu.py")]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "no CUDA device here: nothing measured\n"


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")
def test_attention_is_the_same_each_way(run):
    small = ("--rows", "3", "--width", "8", "--depth", "12", "--times", "1", "--flex")
    lines = [line.split() for line in run("attention.py", *small).splitlines()[1:]]
    assert [line[:2] for line in lines] == [
        [dtype, way] for dtype in ("float32", "bfloat16") for way in ("fused", "products", "split", "flex")
    ]
    for dtype, *_, off in lines:
        assert float(off) < {"float32": 1e-5, "bfloat16": 5e-2}[dtype]


def test_ways_to_predict_paths(run):
    table = run("paths_table.py", "--labels", "12", "--images", "2").splitlines()
    assert [line.split("|")[1].strip() for line in table[2:4]] == ["`tree:descend=flat-by-level+flat`", "`tree+flat`"]
    assert len(table) == 2 + 6 + 2


@pytest.mark.slow
def test_rates_of_comparisons(run):
    tables = run("compare_rates.py", "--simulations", "300").split("simulations; ")[1:]
    *_, (_, _, found, held) = (
        [cell.strip(" %") for cell in row.split("|")[1:-1]] for row in tables[-1].splitlines() if "%" in row
    )
    assert len(tables) == 5 and float(found) > 50 and float(held) > 75


@pytest.mark.slow
def test_a_lora_is_measured_by_hca(run):
    sizes = ("--base-steps", "60", "--images", "40", "--test-images", "20", "--steps", "30")
    table = run("lora_hierarchy.py", *sizes).splitlines()
    assert [line.split("|")[1].strip() for line in table[2:4]] == ["before", "after"]
    por = [float(line.split("|")[5].partition("%")[0]) for line in table[2:4]]
    assert por[1] > por[0]  # thirty steps teach the words, if not the paths


@pytest.mark.slow
def test_a_lora_on_several_images_is_measured_with_and_without_the_mask(run):
    sizes = ("--questions", "24", "--pictures", "300", "--steps", "25")
    table = [line.split("|") for line in run("lora_mimic.py", *sizes).splitlines()]
    assert [line[1].strip() for line in table[2:6]] == ["constant guess", "before", "LoRA", "LoRA + mask"]
    means = [float(line[6].partition("%")[0]) for line in table[3:6]]
    assert min(means[1:]) > means[0]  # 25 steps teach the words, if not the tasks


def test_ray_scaling_needs_more_images_than_a_block(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ray_scaling.py", "--images", "16"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(BENCHMARKS / "ray_scaling.py"), run_name="__main__")
    assert end.value.code == 2 and "give more images than --block" in capsys.readouterr().err


@pytest.mark.slow
def test_shares_of_a_forward_add_up(run):
    lines = run("shares.py", "--model", "random:qwen3-vl-1m", "--labels", "45", "--images", "1").splitlines()
    shares = [float(line.split("|")[3].strip(" %")) for line in lines[5:]]
    assert len(shares) == 6 and shares[-1] == 100
    assert sum(shares[:-1]) == pytest.approx(100, abs=3) and min(shares) >= 0


def test_question_bank(run):
    figures = json.loads(run("question_bank.py", "--questions", "600", "--json"))
    assert figures["questions"] == 600
    assert figures["processor_seconds"] >= 0


def test_reducers_leave_fewer_tokens(run):
    ways = ("--way", "flat", "--way", "pooled:factor=4+flat", "--way", "fastv:keep=0.5,layer=1+flat")
    figures = json.loads(run("reducers.py", "--model", "tiny", "--images", "2", "--examples", "1", *ways, "--json"))
    whole, pooled, pruned = figures["ways"].values()
    assert pooled["tokens"] < pruned["tokens"] < whole["tokens"]
    assert 0 < pooled["flops"] < min(whole["flops"], pruned["flops"])
    assert whole["seconds"] > 0


def test_soak(tmp_path):
    options = ("--kills", "3", "--examples", "30", "--pictures", "60", "--words", "25")
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "soak.py"), *options], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    kills, pictures, words = map(json.loads, done.stdout.splitlines())
    assert (kills["kills"], kills["examples"]) == (3, 30)
    assert sum(pictures["outcomes"].values()) == 60 and len(pictures["outcomes"]) >= 3
    assert sum(words["exit codes"].values()) == 25 and words["exit codes"].keys() <= {"0", "1", "2"}
