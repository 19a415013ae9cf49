"""What every reducer promises."""

from __future__ import annotations

from vlmkit.testing.contracts.rules import Rules
from vlmkit.types import Reducer

_TOKENS = (1, 2, 7, 64, 100)
"""Numbers of visual tokens that are tried."""


def check_reducer(reducer: Reducer) -> None:
    """Hold a reducer to its contract.

    It is hashable. For any number of visual tokens ``groups`` gives an int64 tensor with a group for each, or -1, which
    leaves as many groups as ``kept`` says and at least one, and gives the same for the same tokens. It gets attention
    where it watches a layer.

    Raises:
        ContractError: It breaks a rule.
    """
    import torch

    from vlmkit.tokentree import Visual

    rules = Rules(type(reducer).__name__)
    with rules.no_error("a reducer must be hashable"):
        hash(reducer)
    random = torch.Generator().manual_seed(0)
    for tokens in _TOKENS:
        attention = torch.rand(tokens, generator=random) if reducer.watches else None
        visual = Visual(torch.randn(tokens, 8, generator=random), attention)
        with rules.no_error(f"{tokens} visual tokens must be grouped"):
            groups, again, kept = reducer.groups(visual), reducer.groups(visual), reducer.kept(tokens)
        kind = type(groups).__name__
        rules.demand(isinstance(groups, torch.Tensor), "groups must come as a tensor", f"a {kind} came")
        shape = (tuple(groups.shape), groups.dtype)
        rules.demand(shape == ((tokens,), torch.int64), f"groups of {tokens} must be int64 [{tokens}]", f"was {shape}")
        rules.demand(int(groups.min()) >= -1, "a group must be -1 or more", f"one is {int(groups.min())}")
        left = len(set(groups[groups >= 0].tolist()))
        rules.demand(left >= 1, "a token at least must be left", f"none of {tokens} is")
        rules.demand(left == kept, f"kept({tokens}) must count the groups", f"{kept} was said of {left}")
        rules.demand(torch.equal(groups, again), "the same tokens must give the same groups", "they differ")
