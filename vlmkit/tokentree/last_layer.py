"""The last layer of a language model, computed for the tokens alone whose hidden states are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from attrs import define, field

from vlmkit.tokentree.layout import Layout

_POSITIONWISE = (
    *("self_attn.q_proj", "self_attn.o_proj", "cross_attn.q_proj", "cross_attn.o_proj", "mlp"),
    "feed_forward",  # Llama 4
    *("per_layer_input_gate", "per_layer_projection"),  # Gemma 4
)
"""Parts of a decoder layer that look at one token at a time, as transformers names them."""


@define(eq=False)
class LastLayer:
    """Narrows a decoder layer to the tokens that its layout reads; what it says of the others means nothing.

    Keys and values of all tokens are computed as ever: what is read attends to them.
    """

    _tokens: int = field(default=0, init=False)
    _read: torch.Tensor | None = field(default=None, init=False)

    def watch(self, layer: torch.nn.Module) -> None:
        """Narrow a layer from now on."""
        layer.register_forward_pre_hook(self._begin, with_kwargs=True)
        parts = dict(layer.named_modules())
        for name in _POSITIONWISE:
            if name in parts:
                parts[name].register_forward_pre_hook(self._gather)
                parts[name].register_forward_hook(self._scatter)

    def _begin(self, _: torch.nn.Module, args: Any, kwargs: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        layout: Layout = kwargs["layout"]
        read = layout.read
        self._tokens = layout.tokens
        self._read = read if len(read) < layout.tokens else None
        return args, {**kwargs, "layout": layout if self._read is None else layout.narrowed()}

    def _gather(self, _: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        return None if self._read is None else (args[0].index_select(1, self._read), *args[1:])

    def _scatter(self, _: torch.nn.Module, __: Any, out: Any) -> Any:
        if self._read is None:
            return out
        if isinstance(out, tuple):  # a mixture of experts that returns its routing too
            return self._spread(out[0], self._read), *out[1:]
        return self._spread(out, self._read)

    def _spread(self, out: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
        width = out.shape[-1]
        return out.new_zeros(1, self._tokens, width).index_copy_(1, read, out.view(1, -1, width))
