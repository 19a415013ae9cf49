"""The attention of packed rows, path by path, against the plain formula."""

from __future__ import annotations

import pytest
import torch

from vlmkit.local import attention as products
from vlmkit.tokentree import attention


def plain(query, key, value, bias):
    grouped = query.shape[1] // key.shape[1]
    key, value = (one.double().repeat_interleave(grouped, dim=1) for one in (key, value))
    scores = query.double() @ key.mT * query.shape[-1] ** -0.5 + (0 if bias is None else bias.double())
    return scores.softmax(-1) @ value


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 3e-2)])
@pytest.mark.parametrize("fewest", [3, 256], ids=["some queries", "all queries"])
@pytest.mark.parametrize("held", [1, 2**9, 2**11, 2**20], ids=["row by row", "some rows", "some heads", "all"])
def test_attention_equals_the_formula(dtype, tolerance, held, fewest, monkeypatch):
    monkeypatch.setattr(products, "SCORES_AT_ONCE", held)
    monkeypatch.setattr(products, "FEWEST_QUERIES", fewest)
    make = torch.Generator().manual_seed(0)
    query = torch.randn(5, 4, 7, 16, generator=make).to(dtype)
    key, value = torch.randn(2, 5, 2, 11, 16, generator=make).to(dtype)
    seen = torch.rand(5, 1, 7, 11, generator=make) < 0.5
    seen[..., 0] = True
    bias = torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, float("-inf"))
    got = attention._attend(query, key, value, bias, None, causal=False)
    assert got.shape == query.shape
    assert (got.double() - plain(query, key, value, bias)).abs().max() < tolerance


def test_a_vision_tower_attends_as_the_formula_says_to_all_or_to_what_a_mask_shows():
    make = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 1, 4, 300, 16, generator=make).bfloat16()
    seen = torch.rand(1, 1, 300, 300, generator=make) < 0.5
    bias = torch.zeros(seen.shape).masked_fill(~seen, float("-inf"))
    for mask, added in ((None, None), (seen, bias)):
        got, _ = products.vision_attention(torch.nn.Module(), query, key, value, mask, is_causal=False)
        assert (got.transpose(1, 2).double() - plain(query, key, value, added)).abs().max() < 3e-2
    triangle = torch.full((300, 300), float("-inf")).triu(1)
    got, _ = products.vision_attention(torch.nn.Module(), query, key, value, None)  # as transformers takes silence
    assert (got.transpose(1, 2).double() - plain(query, key, value, triangle)).abs().max() < 3e-2
