"""How much memory a run takes: no more for more examples, and a bounded amount for very many labels."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vlmkit.local.budget import Budget, Limits
from vlmkit.local.memory import Memory
from vlmkit.tokentree.layout import KV
from vlmkit.tokentree.packing import KEYS_A_TOKEN, Row

MIB = 2**20
GIB = 2**30

LIMIT = 10 * GIB
"""What a run is stopped at, so that a mistake does not take the whole machine."""

ENTRIES = st.tuples(st.integers(0, 20), st.integers(1, 50))


@given(st.lists(ENTRIES), st.integers(1, 200), st.integers(1, 10))
def test_a_memory_keeps_its_bounds_and_the_newest_entry(entries, budget, most):
    memory = Memory(budget, most)
    sizes = {}
    for key, size in entries:
        memory.put(key, SimpleNamespace(nbytes=size))
        sizes[key] = size
        held = [known for known in sizes if memory.get(known) is not None]
        assert key in held and len(held) <= most
        assert sum(sizes[known] for known in held) <= budget or held == [key]


@given(st.lists(st.tuples(st.integers(1, 1024), st.integers(0, 60_000)), min_size=1, max_size=30))
def test_the_masks_of_one_forward_are_bounded_together(rows):
    def row(length, seen):
        past = KV({0: torch.empty(seen, 0)}, {0: torch.empty(seen, 0)})
        return Row(0, range(length), [length] * length, torch.empty(1, length), (past,))

    costs = [row(length, seen).cost for length, seen in rows]
    assert all(cost >= length for cost, (length, _) in zip(costs, rows, strict=True))
    tokens = Limits().tokens
    for which in Budget(tokens).run(costs, list):
        scores = sum(rows[index][0] * sum(rows[index]) for index in which)
        # Each row is rounded down to whole tokens.
        assert len(which) == 1 or scores <= (tokens + len(which)) * KEYS_A_TOKEN


def test_memory_that_runs_out_on_the_host_halves_the_budget():
    tried = []

    def step(items: range) -> int:
        tried.append(len(items))
        if len(items) > 2:
            raise MemoryError
        return len(items)

    budget = Budget(4096)
    assert budget.run([1000] * 5, step) == [2, 2, 1]
    assert budget.tokens == 2048 and tried == [4, 2, 2, 1]


@pytest.fixture
def peak_of(tmp_path, environment):
    """Run ``vlmkit run`` with ``tiny`` in a process of its own, and return the most bytes that it had in memory."""

    def call(data, *arguments):
        command = [sys.executable, "-m", "vlmkit", "run", data, *arguments, "--device", "cpu", "--quiet"]
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.DEVNULL,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT)),
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return usage.ru_maxrss * 1024

    return call


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_examples(peak_of):
    few, many = (peak_of(f"glyphs:labels=4,images={count}") for count in (1_000, 10_000))
    # Ids and records of 9,000 more examples, and what the allocator makes of them.
    assert many < few + 100 * MIB


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["flat", "dci"])
def test_21_000_labels_stay_under_6_gib(peak_of, strategy):
    assert peak_of("glyphs:labels=21000,per_image=2,images=1", "--strategy", strategy) < 6 * GIB
