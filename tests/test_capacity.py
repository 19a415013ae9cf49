"""``benchmarks/capacity.py``: what it makes of rates, and a whole page of it."""

from __future__ import annotations

import importlib
import math

import pytest
from attrs import evolve


@pytest.fixture
def capacity(monkeypatch, request):
    monkeypatch.syspath_prepend(request.config.rootpath / "benchmarks")
    return importlib.import_module("capacity")


@pytest.fixture
def node(capacity):
    assumed = {"peak_tflops": 100.0, "utilisation": 0.5, "tokens_per_second": None, "price": 2.0}
    return capacity.Node(gpus=4, cores=8, network_gbit=1.0, storage_mb=1.0, **assumed)


def test_the_slowest_part_settles_hours_and_money(capacity, node):
    workload = capacity.Workload("photos", labels=10, images=7200, size=(8, 8), kilobytes=1)
    rates = {"model": node.model_rate(tokens=1e4, flops=1e14), "storage": 5.0}
    assert rates["model"] == pytest.approx(2.0)  # 4 GPUs at 50 TFLOP/s
    cost = capacity.Cost(workload, "flat", 1, 1e4, 1e14, rates, node)
    assert cost.bottleneck == "model" and cost.gpu_hours == pytest.approx(4.0) and cost.money == pytest.approx(8.0)
    held_up = evolve(cost, rates={**rates, "storage": 0.5})
    assert held_up.bottleneck == "storage" and held_up.gpu_hours == pytest.approx(16.0)
    measured = evolve(node, tokens_per_second=2e4)
    assert measured.model_rate(tokens=1e4, flops=1e14) == pytest.approx(8.0)


@pytest.mark.thorough
def test_a_page(capacity, tmp_path, capsys):
    plot = tmp_path / "plot.svg"
    asked = ("--model", "qwen3-vl-2b", "--strategy", "dci:group_size=20", "--strategy", "shortlist:k=20")
    with pytest.raises(SystemExit) as end:
        capacity.main([*asked, "--gpus", "2", "--tokens-per-second", "50000", "--plot", str(plot)])
    assert end.value.code == 0 and plot.stat().st_size > 1000
    table, ready = capsys.readouterr().out.split("\n\n")[1::2]
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert [row[1] for row in rows] == ["dci:group_size=20", "shortlist:k=20"] * 2
    for row, labels, images in zip(rows[::2], (21_841, 20_000), (21_841 * 50, 10**9), strict=True):
        questions, left = 0, labels
        while left > 1:
            alone = left % 20 == 1  # who is left over has no one to be compared with
            left = math.ceil(left / 20)
            questions += left - alone
        queries, tokens, pace, hours, money = (float(row[place].replace(",", "")) for place in (2, 3, 5, 7, 8))
        assert queries == questions and row[6] == "model"
        assert pace == pytest.approx(2 * 50_000 / tokens, abs=0.006)
        assert hours == pytest.approx(images * tokens / 50_000 / 3600, rel=1e-3)
        assert money == pytest.approx(2.5 * hours, rel=1e-3)
    assert "retrieval" in ready and float(rows[1][2].replace(",", "")) == 1
