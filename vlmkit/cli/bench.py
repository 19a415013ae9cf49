"""``vlmkit bench``: how fast, side by side with the plain ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from vlmkit.cli.main import session
from vlmkit.cli.output import console, note, print_json, table
from vlmkit.registry import Builder, Chain
from vlmkit.registry.build import READOUTS

if TYPE_CHECKING:
    from vlmkit.bench.figures import Speed

_SCORED = [name for name in READOUTS if name != "text"]

_SIDES = {"generate": "generate", "generate_batched": "generate in batches", "label_loop": "a loop over labels"}


class Several(click.ParamType[Sequence[Any]]):
    """Reads values of one type, joined by commas.

    Args:
        one: The type of each.
    """

    name = "list"

    def __init__(self, one: click.ParamType[Any]) -> None:
        self.one = one

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Sequence[Any]:
        """Return the values, each once."""
        return tuple(dict.fromkeys(self.one.convert(part.strip(), param, ctx) for part in str(value).split(",")))


@click.group()
def bench() -> None:
    """Measure how fast strategies run."""


@bench.command()
@click.argument("model", default="tiny")
@click.option(
    "--labels", type=Several(click.IntRange(min=2)), default="100,1000", show_default=True, help="Numbers of labels."
)
@click.option(
    "--group-size", type=Several(click.IntRange(min=2)), default="20", show_default=True, help="Labels in a question."
)
@click.option(
    "--readout",
    type=Several(click.Choice(_SCORED)),
    default=",".join(reversed(_SCORED)),
    show_default=True,
    help="How choices are read off the model.",
)
@click.option("--strategy", default="dci", show_default=True, help="A strategy that takes a group size and a readout.")
@click.option("--images", type=click.IntRange(min=1), default=8, show_default=True, help="Images of each case.")
@click.option(
    "--in-flight", type=click.IntRange(min=1), default=4, show_default=True, help="Images vlmkit works on at once."
)
@click.option(
    "--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Questions at once on the batched side."
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Most questions that a plain side answers for each block of images; its time is scaled up.",
)
@click.option("--device", help="Device of all sides: cuda, cuda:1, cpu.")
@click.option("--dtype", help="Precision of all sides: float32, bfloat16, float16.")
@click.option("--json", is_flag=True, help="Print JSON.")
@click.pass_context
def speed(
    context: click.Context,
    *,
    model: str,
    labels: Sequence[int],
    group_size: Sequence[int],
    readout: Sequence[str],
    strategy: str,
    images: int,
    in_flight: int,
    batch: int,
    sample: int,
    device: str | None,
    dtype: str | None,
    json: bool,
) -> None:
    """Time a strategy against the plain ways to ask the same questions.

    MODEL is an adapter, a model directory or a hub id, or random:NAME for random weights in a real architecture, made
    on the spot: random:qwen3-vl-100m, -2b, -4b, -8b. The plain ways go through transformers alone: generate for each
    group, the same in batches with padding, and one forward for each label.
    """
    from vlmkit.bench.figures import Case
    from vlmkit.bench.speed import Amount, Bench
    from vlmkit.testing.parity_page import setting

    cases = [
        Case(count, size, _with(strategy, group_size=size, readout=one), one)
        for count in labels
        for size in group_size
        for one in readout
    ]
    amount = Amount(images, in_flight, batch, sample)
    found = Bench(Builder(session(context).plugins.registry), amount, device, dtype, note).run(model, cases)
    if json:
        asked = {name: context.params[name] for name in ("images", "in_flight", "batch", "sample", "dtype")}
        results = [one.plainly() for one in found]
        print_json({"setting": setting(device), "model": model, **asked, "results": results})
        return
    heads = (f"{one.case.labels:,} labels\ngroups of {one.case.group_size}\n{one.case.readout}" for one in found)
    console().print(table(("", *heads), _table(found)))
    click.echo(f"{model}, {setting(device)}.")
    click.echo(
        f"Plain sides answer a sample of {sample} questions, or labels of the loop, in each block of {in_flight} "
        "images; their time is scaled up."
    )
    click.echo(f"Peak, from a large matrix product in this run: {max(one.peak for one in found) / 1e9:,.0f} GFLOP/s.")


def _with(strategy: str, **options: Any) -> str:
    """Return the spec with options added to its innermost strategy."""
    *wrappers, innermost = Chain.parse(strategy).specs
    added = {**dict(innermost.options), **{name: str(value) for name, value in options.items()}}
    return str(Chain((*wrappers, type(innermost)(innermost.name, added))))


def _table(found: Sequence[Speed]) -> Iterator[tuple[str, ...]]:
    """Return a row for each quantity: its name, and what it is in every case."""
    yield "vlmkit, images/s", *(f"{1 / one.seconds_per_image['vlmkit']:.3g}" for one in found)
    for side, name in _SIDES.items():
        yield f"times as fast as {name}", *(f"{one.ratios[side]:.1f}" for one in found)
    numbers = [one.plainly() for one in found]
    yield "forwards an image", *(f"{each['forwards_per_image']:.1f}" for each in numbers)
    yield "tokens an image", *(f"{each['tokens']['forwarded']:,.0f}" for each in numbers)
    yield "tokens of the ideal trie", *(f"{each['tokens']['ideal']:,.0f}" for each in numbers)
    yield "share of peak FLOP/s", *("-" if one.mfu is None else f"{one.mfu:.0%}" for one in found)
    yield "host's share of time", *(f"{one.host_share:.0%}" for one in found)
    yield "peak memory, GiB", *(f"{one.memory / 2**30:.2f}" for one in found)
