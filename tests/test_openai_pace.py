"""How many requests go out at once, and how long a retry waits."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmkit_adapters.openai.gate import START, Gate
from vlmkit_adapters.openai.patience import retry_after, wait_before


def test_retry_after_is_seconds_or_a_date():
    assert retry_after({"retry-after": "1.5"}) == 1.5
    assert retry_after({"retry-after": formatdate(time.time() + 60, usegmt=True)}) == pytest.approx(60, abs=3)
    assert retry_after({"retry-after": formatdate(0, usegmt=True)}) == 0
    assert retry_after({"retry-after": "soon"}) is None and retry_after({}) is None


@given(st.integers(1, 40))
def test_waits_double_up_to_a_limit_with_jitter(retry):
    full = min(30.0, 0.5 * 2 ** (retry - 1))
    assert full / 2 <= wait_before(retry, {}) <= full


def test_gate_starts_low_grows_with_success_and_halves_once_for_one_burst():
    gate = Gate(most=20)
    assert gate.limit == START
    with gate.entered() as one, gate.entered() as other:
        one.overloaded()
        other.overloaded()
    assert gate.limit == START // 2
    for _ in range(10):
        with gate.entered() as passage:
            passage.overloaded()
    assert gate.limit == 1
    for _ in range(1000):
        with gate.entered() as passage:
            passage.succeeded()
    assert gate.limit == 20


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 30))
def test_gate_stays_within_its_bounds(outcomes, most):
    gate = Gate(most)
    for fine in outcomes:
        with gate.entered() as passage:
            passage.succeeded() if fine else passage.overloaded()
        assert 1 <= gate.limit <= most


def test_gate_lets_in_no_more_than_its_limit():
    gate, inside, most = Gate(most=3), Counter(), []
    lock, together = threading.Lock(), threading.Barrier(3)

    def go(_):
        with gate.entered():
            with lock:
                inside["now"] += 1
                most.append(inside["now"])
            together.wait(60)  # as many as the limit are let in
            time.sleep(0.002)  # and were there one more, it would be counted
            with lock:
                inside["now"] -= 1

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(go, range(60)))
    assert max(most) == 3
