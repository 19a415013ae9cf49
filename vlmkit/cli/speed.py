"""``vlmkit bench speed``: how fast, side by side with the plain ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import asdict

from vlmkit.cli.main import session
from vlmkit.cli.options import CONFIG
from vlmkit.cli.output import console, note, print_json, show, table
from vlmkit.cli.several import Several
from vlmkit.redaction import redacted
from vlmkit.registry import Builder, Chain, Spec
from vlmkit.registry.build import READOUTS
from vlmkit.registry.source import dataset_spec

if TYPE_CHECKING:
    from vlmkit.bench.figures import Case, Speed

_SIDES = {
    "vlmkit": "vlmkit",
    "generate": "generate",
    "generate_batched": "generate in batches",
    "label_loop": "a loop over labels",
}

_GROUP_SIZE = 20


@click.command()
@click.argument("model", default="tiny")
@CONFIG
@click.option("--data", default="glyphs:labels=1000", show_default=True, help="Pictures and labels, as for vlmkit run.")
@click.option(
    "--labels",
    type=Several(click.IntRange(min=2)),
    help="Numbers of labels: the first so many of the data's.  [default: 100, and all]",
)
@click.option(
    "--group-size",
    type=Several(click.IntRange(min=2)),
    help=f"Labels in a question.  [default: the strategy's, else {_GROUP_SIZE} where it has groups]",
)
@click.option(
    "--readout",
    type=Several(click.Choice(list(READOUTS))),
    help="How choices are read off the model.  [default: the strategy's, else likelihood, with groups letter too]",
)
@click.option("--strategy", default="dci", show_default=True, help="What to ask (vlmkit ls strategies).")
@click.option("--images", type=click.IntRange(min=1), default=8, show_default=True, help="Images of each case.")
@click.option(
    "--in-flight", type=click.IntRange(min=1), default=4, show_default=True, help="Images vlmkit works on at once."
)
@click.option(
    "--block", type=click.IntRange(min=1), help="Images that a side answers in its turn.  [default: --in-flight]"
)
@click.option(
    "--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Questions at once on the batched side."
)
@click.option(
    "--sample",
    type=click.IntRange(min=0),
    default=16,
    show_default=True,
    help="Most questions that a plain side answers for each block of images; its time is scaled up. 0: no plain sides.",
)
@click.option("--device", help="Device of all sides: cuda, cuda:1, cpu.")
@click.option("--dtype", help="Precision of all sides: float32, bfloat16, float16.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw seconds an image over labels into a PNG, SVG or PDF.",
)
@click.option("--json", is_flag=True, help="Print JSON.")
@click.pass_context
def speed(
    context: click.Context,
    *,
    model: str,
    data: str,
    labels: Sequence[int] | None,
    group_size: Sequence[int] | None,
    readout: Sequence[str] | None,
    strategy: str,
    images: int,
    in_flight: int,
    block: int | None,
    batch: int,
    sample: int,
    device: str | None,
    dtype: str | None,
    plot: Path | None,
    json: bool,
) -> None:
    """Time a strategy against the plain ways to ask the same questions.

    MODEL is what vlmkit run takes, or random:NAME for random weights in a real architecture, made on the spot:
    random:qwen3-vl-100m, -2b, -4b, -8b. The plain ways go through transformers alone: generate for each group, the same
    in batches with padding, and one forward for each label. Of a server and of adapter generic less can be told.
    """
    from vlmkit.bench.plot import check_plot
    from vlmkit.bench.plot import plot as draw
    from vlmkit.bench.speed import Amount, Bench
    from vlmkit.testing.parity_page import setting

    if plot is not None:
        check_plot(plot)
    registry = session(context).plugins.registry
    builder = Builder(registry)
    spec = dataset_spec(data, registry)
    dataset = builder.dataset(spec)
    counts = labels or sorted({min(100, len(dataset.labels)), len(dataset.labels)})
    cases = cases_of(builder, Chain.parse(strategy), counts, group_size, readout)
    amount = Amount(images, in_flight, block or in_flight, batch, sample)
    found = Bench(builder, dataset, amount, device, dtype, note).run(model, cases)
    machine = setting(device)
    if json:
        about = {"setting": machine, "model": redacted(model), "data": redacted(str(spec))}
        print_json({**about, **asdict(amount), "dtype": dtype, "results": [one.plainly() for one in found]})
    else:
        console().print(table(("", *map(_head, found)), _table(found)))
        show(f"{model}, {machine}.")
        if found[0].ratios:
            click.echo(
                f"Plain sides answer a sample of {sample} questions, or labels of the loop, in each block of "
                f"{amount.block} images; their time is scaled up."
            )
        if found[0].peak is not None:
            click.echo(f"Peak, from a large matrix product in this run: {found[0].peak / 1e9:,.0f} GFLOP/s.")
    if plot is not None:  # last: a full disk must not cost what was measured
        draw(found, _SIDES, f"{model}, {strategy}\n{machine.partition(';')[0]}", plot)
        note(f"written: {plot}")


def cases_of(
    builder: Builder,
    chain: Chain,
    labels: Sequence[int],
    group_sizes: Sequence[int] | None,
    readouts: Sequence[str] | None,
) -> list[Case]:
    """Return what is measured: every number of labels, with every group size and readout that the strategy takes."""
    from vlmkit.bench.figures import Case

    if builder.registry.get("strategy", chain.specs[-1].name).wraps:
        chain = Chain((*chain.specs, Spec("flat")))
    *wrappers, innermost = chain.specs
    taken = builder.options(builder.registry.get("strategy", innermost.name))
    own = dict(innermost.options)
    sizes: Sequence[Any] = group_sizes or [own.get("group_size", _GROUP_SIZE if "group_size" in taken else None)]
    # There are 26 letters.
    usual = ["letter", "likelihood"] if sizes[0] else ["likelihood"]
    reads: Sequence[Any] = readouts or (
        [own["readout"]] if "readout" in own else usual if "readout" in taken else [None]
    )
    cases = []
    for count in labels:
        for size in sizes:
            for readout in reads:
                more = {"group_size": size, "readout": readout}
                options = {**own, **{name: str(value) for name, value in more.items() if value is not None}}
                spec = str(Chain((*wrappers, Spec(innermost.name, options))))
                cases.append(Case(count, spec, None if size is None else int(size), readout))
    return cases


def _head(one: Speed) -> str:
    groups = "" if one.case.group_size is None else f"\ngroups of {one.case.group_size}"
    return f"{one.case.labels:,} labels{groups}\n{one.case.readout or ''}"


def _table(found: Sequence[Speed]) -> Iterator[tuple[str, ...]]:
    """Return a row for each quantity: its name, and what it is in every case."""
    numbers = [one.plainly() for one in found]
    yield "vlmkit, images/s", *(f"{1 / one.seconds_per_image['vlmkit']:.3g}" for one in found)
    for side, name in list(_SIDES.items())[1:]:
        yield f"times as fast as {name}", *(_cell(one.ratios.get(side), "{:.1f}") for one in found)
    if any(one.doubling for one in found):
        yield "times the time of half the labels", *(_cell(one.doubling, "{:.2f}") for one in found)
    yield "questions an image", *(f"{each['questions_per_image']:.1f}" for each in numbers)
    yield "forwards an image", *(_cell(each["forwards_per_image"], "{:.1f}") for each in numbers)
    yield "tokens an image", *(_cell(each["tokens"]["forwarded"], "{:,.0f}") for each in numbers)
    yield "tokens of the ideal trie", *(_cell(each["tokens"]["ideal"], "{:,.0f}") for each in numbers)
    yield "times the time of ideal, dense", *(_cell(one.cost_over_ideal, "{:.2f}") for one in found)
    yield "share of peak FLOP/s", *(_cell(one.mfu, "{:.0%}") for one in found)
    yield "host's share of time", *(_cell(one.host_share, "{:.0%}") for one in found)
    yield "peak memory, GiB", *(_cell(one.memory and one.memory / 2**30, "{:.2f}") for one in found)


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
