"""States of a model after some tokens, and two ways to continue them: fork the cache, or run everything again."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import torch
from attrs import field, frozen

from vlmkit.errors import ModelError
from vlmkit.local.bill import Bill
from vlmkit.types import Tokens, Usage

_PER_TOKEN = ("token_type_ids", "mm_token_type_ids", "cross_attention_mask")
"""Processor outputs whose second dimension counts tokens."""


@frozen(eq=False)
class Opening:
    """The beginning of a prompt up to its last image, or its first token where there is none.

    Args:
        ids: Token ids, placeholders expanded.
        inputs: Processor outputs beside the ids, on the CPU.
        images: Number of images.
    """

    ids: tuple[int, ...]
    inputs: Mapping[str, torch.Tensor]
    images: int


@frozen(eq=False)
class State:
    """What a model knows after the same number of tokens in each of n rows.

    Args:
        opening: How every row began.
        ids: All tokens so far, int64 [n, L], on the CPU.
        cache: The model's own cache, n rows; None where everything runs again.
        offsets: M-RoPE offsets that the model noted in its modules when it saw the image.
    """

    opening: Opening
    ids: torch.Tensor
    cache: Any = None
    offsets: Sequence[torch.Tensor | None] = ()

    def __len__(self) -> int:
        return int(self.ids.shape[1])

    @property
    def nbytes(self) -> int:
        """Size of the cache in bytes."""
        return sum(tensor.nbytes for layer in getattr(self.cache, "layers", ()) for tensor in _tensors(vars(layer)))


@frozen(eq=False)
class Rows:
    """Tokens to run after a state.

    Args:
        owners: Index of the query that each row belongs to.
        tokens: Token ids of each row; rows of unlike length can be read, but not continued.
        parents: Row of the state that each row continues; None continues them all in place and uses the state up.
        kind: As what the tokens are billed.
    """

    owners: Sequence[int]
    tokens: Sequence[Sequence[int]]
    parents: Sequence[int] | None = None
    kind: Literal["trunk", "branch", "generated"] = "branch"
    ids: torch.Tensor = field(init=False)

    @ids.default
    def _padded(self) -> torch.Tensor:
        """Pad on the right, where causality hides it, with a token that is surely text; int64 [n, width]."""
        width = max(map(len, self.tokens))
        return torch.tensor([[*tokens, *[tokens[-1]] * (width - len(tokens))] for tokens in self.tokens])

    def after(self, state: State) -> torch.Tensor:
        """Return all tokens of each row, int64 [n, L]."""
        before = state.ids if self.parents is None else state.ids[list(self.parents)]
        return torch.cat([before, self.ids], dim=1)

    def bill(self, bill: Bill) -> None:
        """Charge the tokens, without padding, to their owners."""
        for owner, tokens in zip(self.owners, self.tokens, strict=True):
            bill.add(owner, Usage(tokens=Tokens(**{self.kind: len(tokens)})))


class Continuation(Protocol):
    """A way to go on from a state."""

    def begin(self, opening: Opening, owner: int, bill: Bill) -> State:
        """Return the state after an opening, one row, at the owner's expense."""
        ...

    def extend(self, state: State, rows: Rows, read: int, bill: Bill) -> tuple[torch.Tensor, State]:
        """Run rows after a state.

        Args:
            state: Where to go on from.
            rows: What to run.
            read: At how many of the last tokens of the padded rows logits are wanted; 0 for none.
            bill: Who pays.

        Returns:
            Next-token logits, [n, read, V], and the state after the rows.
        """
        ...


class Forks:
    """Copies the model's cache for every row."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._holders = [module for module in model.modules() if hasattr(module, "rope_deltas")]

    @torch.inference_mode()
    def begin(self, opening: Opening, owner: int, bill: Bill) -> State:
        """Return the state after an opening; one forward."""
        self._note([None] * len(self._holders))
        ids = torch.tensor([opening.ids])
        out = self.model(**model_inputs(self.model, opening, ids), use_cache=True, logits_to_keep=1)
        if out.past_key_values is None:
            raise ModelError("the model keeps no cache")
        bill.forward([owner])
        bill.add(owner, Usage(images_encoded=opening.images, tokens=Tokens(trunk=len(opening.ids))))
        return State(opening, ids, out.past_key_values, [holder.rope_deltas for holder in self._holders])

    @torch.inference_mode()
    def extend(self, state: State, rows: Rows, read: int, bill: Bill) -> tuple[torch.Tensor, State]:
        """Run all rows in one forward, on copies of the rows that they continue."""
        cache = state.cache
        if rows.parents is not None:
            cache = copy.deepcopy(cache)
            cache.reorder_cache(torch.tensor(rows.parents, device=self.model.device))
        self._note(state.offsets)
        # Without a mask the model counts positions from the length of its cache, and there is nothing to mask.
        out = self.model(
            input_ids=rows.ids.to(self.model.device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=max(1, read),
        )
        bill.forward(rows.owners)
        rows.bill(bill)
        return out.logits, State(state.opening, rows.after(state), out.past_key_values, state.offsets)

    def _note(self, offsets: Sequence[torch.Tensor | None]) -> None:
        for holder, offset in zip(self._holders, offsets, strict=True):
            holder.rope_deltas = offset


class Reruns:
    """Runs every row from its very beginning, for models whose cache cannot be continued so."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def begin(self, opening: Opening, owner: int, bill: Bill) -> State:
        """Return the state after an opening; runs nothing."""
        return State(opening, torch.tensor([opening.ids]))

    @torch.inference_mode()
    def extend(self, state: State, rows: Rows, read: int, bill: Bill) -> tuple[torch.Tensor, State]:
        """Run one forward for each row if logits are wanted."""
        after = State(state.opening, rows.after(state))
        if not read:
            return torch.empty(len(rows.tokens), 0, 0), after
        logits = []
        for owner, ids in zip(rows.owners, after.ids, strict=True):
            inputs = model_inputs(self.model, state.opening, ids[None])
            logits.append(self.model(**inputs, use_cache=False, logits_to_keep=read).logits)
            again = Usage(images_encoded=state.opening.images, tokens=Tokens(trunk=len(state)))
            bill.forward([owner])
            bill.add(owner, again)
        rows.bill(bill)
        return torch.cat(logits), after


def model_inputs(model: Any, opening: Opening, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return what the model takes for a prompt that begins with an opening and goes on with text; ids are [1, L]."""
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    for name, value in opening.inputs.items():
        inputs[name] = _resized(value, ids.shape[1]) if name in _PER_TOKEN else value
    return {
        name: value.to(model.device, model.dtype if value.is_floating_point() else None)
        for name, value in inputs.items()
    }


def _resized(value: torch.Tensor, length: int) -> torch.Tensor:
    """Cut dimension 1 to a length, or fill it up with its last entry, which is that of text."""
    missing = length - value.shape[1]
    if missing <= 0:
        return value[:, :length]
    return torch.cat([value, value[:, -1:].repeat_interleave(missing, dim=1)], dim=1)


def _tensors(values: Mapping[Any, Any]) -> Iterator[torch.Tensor]:
    for value in values.values():
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, dict):
            yield from _tensors(value)
