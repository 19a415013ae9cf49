"""Attention of packed rows on a CPU: torch's fused kernel against plain matrix products, in both precisions.

python benchmarks/cpu_attention.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import click
import torch
from torch.nn.functional import scaled_dot_product_attention

from vlmkit.tokentree.attention import attend_by_products


def milliseconds(work: Callable[[], Any], times: int) -> float:
    """Return the median time of ``work``, after one call for warm-up."""
    work()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return 1000 * statistics.median(taken)


@click.command()
@click.option("--rows", default=50, show_default=True)
@click.option("--queries", default=115, show_default=True, help="Tokens of a row.")
@click.option("--keys", default=380, show_default=True, help="Tokens that a row sees.")
@click.option("--heads", default=12, show_default=True, help="Query heads; a third as many for keys and values.")
@click.option("--size", default=64, show_default=True, help="Size of a head.")
@click.option("--times", default=9, show_default=True)
def main(rows: int, queries: int, keys: int, heads: int, size: int, times: int) -> None:
    """Print the milliseconds of one attention call each way."""
    click.echo(f"{rows} rows of {queries} tokens that see {keys}, {heads} heads of {size}: milliseconds a call")
    for dtype in (torch.float32, torch.bfloat16):
        query = torch.randn(rows, heads, queries, size).to(dtype)
        key, value = torch.randn(2, rows, heads // 3, keys, size).to(dtype)
        hidden = torch.rand(rows, 1, queries, keys) < 0.3
        hidden[..., 0] = False
        bias = torch.zeros(hidden.shape, dtype=dtype).masked_fill(hidden, float("-inf"))
        asked: tuple[Any, ...] = (query, key, value, bias)
        with torch.inference_mode():
            fused = milliseconds(lambda asked=asked: scaled_dot_product_attention(*asked, enable_gqa=True), times)
            products = milliseconds(lambda asked=asked: attend_by_products(*asked, asked[0].shape[-1] ** -0.5), times)
        click.echo(f"{str(dtype).removeprefix('torch.'):10} fused {fused:7.1f}   products {products:7.1f}")


if __name__ == "__main__":
    main()
