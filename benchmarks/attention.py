"""Attention of packed rows over one trunk, each way that gives the same: milliseconds a call, and how far they differ.

python benchmarks/attention.py --device cpu

``fused``: every row's keys gathered, torch's kernel with a mask. ``products``: the same with plain matrix products.
``split``: all rows attend to the trunk in one call and to themselves in another, merged by log-sum-exp. ``flex``:
one FlexAttention call over trunk and all rows, compiled; on CUDA alone.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import click
import torch
from attrs import frozen
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from torch.nn.functional import scaled_dot_product_attention

from vlmkit.bench.machine import Machine
from vlmkit.local.allocator import keep_freed_memory
from vlmkit.local.attention import attend_by_products

_aten = torch.ops.aten


@frozen(eq=False)
class Rows:
    """Rows of causal tokens over one trunk.

    Args:
        query: [rows, heads, width, size].
        key: Own keys, [rows, H, width, size].
        value: As ``key``.
        trunk: Keys and values of the trunk, each [H, depth, size].
    """

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    trunk: tuple[torch.Tensor, torch.Tensor]

    @property
    def gathered(self) -> tuple[torch.Tensor, ...]:
        """Queries, keys and values with the trunk before each row's own, and the mask as numbers."""
        rows, width, depth = len(self.query), self.query.shape[2], self.trunk[0].shape[1]
        keys, values = (
            torch.cat([shared.expand(rows, -1, -1, -1), own], dim=2)
            for shared, own in zip(self.trunk, (self.key, self.value), strict=True)
        )
        hidden = torch.ones(width, depth + width, dtype=torch.bool, device=keys.device).triu(depth + 1)
        bias = torch.zeros(rows, 1, *hidden.shape, dtype=keys.dtype, device=keys.device)
        return self.query, keys, values, bias.masked_fill_(hidden, float("-inf"))

    def fused(self) -> torch.Tensor:
        """Attend with torch's kernel."""
        return scaled_dot_product_attention(*self.gathered, enable_gqa=True)

    def products(self) -> torch.Tensor:
        """Attend with plain matrix products."""
        return attend_by_products(*self.gathered, self.query.shape[-1] ** -0.5)

    def split(self) -> torch.Tensor:
        """Attend to the trunk and to the rows apart, and merge."""
        rows, heads, width, size = self.query.shape
        together = self.query.transpose(0, 1).reshape(1, heads, rows * width, size)
        keys, values = (one[None] for one in self.trunk)
        past, past_weight = _with_log_sum(together, keys, values, causal=False)
        own, own_weight = _with_log_sum(self.query, self.key, self.value, causal=True)
        past = past.view(heads, rows, width, size).transpose(0, 1)
        past_weight = past_weight.reshape(heads, rows, width).transpose(0, 1)
        share = torch.sigmoid(past_weight - own_weight)[..., None].to(own.dtype)
        return own + (past - own) * share

    def flex(self) -> Callable[[], torch.Tensor]:
        """Return what attends in one call of FlexAttention."""
        rows, heads, width, size = self.query.shape
        depth = self.trunk[0].shape[1]

        def seen(_: torch.Tensor, __: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
            own = key - depth
            return (own < 0) | ((own <= query) & (own // width == query // width))

        count = rows * width
        mask = create_block_mask(seen, None, None, count, depth + count, device=self.query.device)
        compiled = torch.compile(flex_attention) if self.query.is_cuda else flex_attention
        query = self.query.transpose(0, 1).reshape(1, heads, count, size)
        keys, values = (
            torch.cat([shared, own.transpose(0, 1).flatten(1, 2)], dim=1)[None]
            for shared, own in zip(self.trunk, (self.key, self.value), strict=True)
        )
        return lambda: (
            compiled(query, keys, values, block_mask=mask, enable_gqa=True)
            .view(heads, rows, width, size)
            .transpose(0, 1)
        )


def _with_log_sum(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, causal: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what is attended, [B, heads, t, size], and the log of the sum of the exponential scores, [B, heads, t]."""
    grouped = query.shape[1] // key.shape[1]
    key, value = (one.repeat_interleave(grouped, dim=1) for one in (key, value))
    if not query.is_cuda:
        return _aten._scaled_dot_product_flash_attention_for_cpu(query, key, value, 0.0, causal)
    if query.dtype == torch.float32:
        out, log_sum = _aten._scaled_dot_product_efficient_attention(query, key, value, None, True, 0.0, causal)[:2]
    else:
        out, log_sum = _aten._scaled_dot_product_flash_attention(query, key, value, 0.0, causal)[:2]
    return out, log_sum[..., : query.shape[2]]


@click.command()
@click.option("--device", default="cpu", show_default=True)
@click.option("--rows", default=50, show_default=True)
@click.option("--width", default=120, show_default=True, help="Tokens of a row.")
@click.option("--depth", default=300, show_default=True, help="Tokens of the trunk.")
@click.option("--heads", default=12, show_default=True, help="Query heads.")
@click.option("--kv-heads", default=4, show_default=True, help="Heads of keys and values.")
@click.option("--size", default=64, show_default=True, help="Size of a head.")
@click.option("--times", default=9, show_default=True)
@click.option("--flex/--no-flex", default=None, help="Whether FlexAttention is tried; by default on CUDA alone.")
@torch.inference_mode()
def main(
    device: str, rows: int, width: int, depth: int, heads: int, kv_heads: int, size: int, times: int, flex: bool | None
) -> None:
    """Print the milliseconds of one attention call each way, and how far each lies from float64."""
    place = torch.device(device)
    if place.type == "cpu":
        keep_freed_memory()  # as loaders do
    click.echo(f"{rows} rows of {width} tokens over a trunk of {depth}, {heads} heads of {size}: milliseconds a call")
    for dtype in (torch.float32, torch.bfloat16):
        machine, make = Machine(place, dtype), torch.Generator().manual_seed(0)
        drawn = [
            torch.randn(shape, generator=make).to(place, dtype)
            for shape in [(rows, heads, width, size)]
            + [(rows, kv_heads, width, size)] * 2
            + [(kv_heads, depth, size)] * 2
        ]
        case = Rows(*drawn[:3], trunk=(drawn[3], drawn[4]))
        exact = Rows(*(one.double() for one in drawn[:3]), trunk=(drawn[3].double(), drawn[4].double())).products()
        ways = {"fused": case.fused, "products": case.products, "split": case.split}
        if place.type == "cuda" if flex is None else flex:
            ways["flex"] = case.flex()
        offs = {name: (way().double() - exact).abs().max().item() for name, way in ways.items()}
        turns = [{name: machine.seconds(way) for name, way in ways.items()} for _ in range(times)]
        for name, off in offs.items():
            taken = 1000 * statistics.median(turn[name] for turn in turns)
            click.echo(f"{str(dtype).removeprefix('torch.'):10} {name:9}{taken:8.1f}   off by {off:.1e}")


if __name__ == "__main__":
    main()
