"""What makes forwards on a CPU quicker changes nothing else."""

from __future__ import annotations

from threading import Thread

import pytest
import torch
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextRMSNorm

from vlmkit.local.threads import on_one_core
from vlmkit.tokentree import pieces


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_a_thread_beside_the_forward_computes_alone_and_others_as_before(two_threads):
    seen = []

    def prepare() -> None:
        with on_one_core():
            seen.append(torch.get_num_threads())
        seen.append(torch.get_num_threads())

    thread = Thread(target=prepare)
    thread.start()
    thread.join()
    assert seen == [1, 2] and torch.get_num_threads() == 2


def test_norms_in_pieces_are_the_same_to_the_bit(monkeypatch):
    monkeypatch.setattr(pieces, "TOKENS_AT_ONCE", 7)
    norm = Qwen3VLTextRMSNorm(16).bfloat16()
    torch.nn.init.normal_(norm.weight)
    states = torch.randn(1, 24, 3, 16, generator=torch.Generator().manual_seed(0)).bfloat16()
    whole, lengths, forward = norm(states), [], norm.forward
    monkeypatch.setattr(norm, "forward", lambda piece: lengths.append(piece.shape[1]) or forward(piece))
    pieces.norm_in_pieces(torch.nn.Sequential(norm))
    assert torch.equal(norm(states), whole) and lengths == [7, 7, 7, 3]
