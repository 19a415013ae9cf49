"""``vlmkit plan``: what a run would ask and cost, before any weights load."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import field, frozen

from vlmkit.cli.answers import Answers
from vlmkit.cli.completion import names
from vlmkit.cli.display import Display
from vlmkit.cli.main import session
from vlmkit.cli.options import CONFIG, DATA, DISPLAY, IN_FLIGHT, LOADING, MODEL, PICTURES, SEED, WORDS
from vlmkit.cli.output import console, note, print_json
from vlmkit.contracts import Dataset
from vlmkit.data.opening import Opener
from vlmkit.engine.models import Loading, build_backend
from vlmkit.errors import CapabilityError, SpecError
from vlmkit.prompts import default_prompt, named_prompt
from vlmkit.redaction import redacted
from vlmkit.registry import Builder, Chain, Registry, Spec
from vlmkit.registry.source import dataset_spec

if TYPE_CHECKING:
    from vlmkit.planning import Planner, Rate, Sizes
    from vlmkit.types import Example

SWEPT = 4
"""Examples that each group size is tried on."""


class Span(click.ParamType[tuple[int, int]]):
    """Reads ``2..200``."""

    name = "LOW..HIGH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return the two ends."""
        match = re.fullmatch(r"(\d+)\.\.(\d+)", str(value).strip())
        if match is None or not 2 <= int(match[1]) <= int(match[2]):
            self.fail(f"{value!r} is no interval of group sizes such as 2..200", param, ctx)
        return int(match[1]), int(match[2])


@frozen(kw_only=True)
class Asked:
    """What is to be planned: the options of a run, and those of a plan.

    Args:
        data: DATA.
        model: ``--model``.
        strategies: Every ``--strategy``.
        labels: ``--labels``.
        taxonomy: ``--taxonomy``.
        prompt: ``--prompt``.
        limit: ``--limit``.
        seed: ``--seed``.
        in_flight: ``--in-flight``.
        image_root: ``--image-root``.
        opener: Opens the pictures.
        loading: How the model would be loaded.
        display: Told how it goes.
        sample: Most examples that strategies are driven on.
        tokens_per_second: A known rate.
        measure: Whether to load the model and time it.
        group_sizes: First and last group size to compare.
    """

    data: str
    model: str
    strategies: Sequence[str]
    labels: Path | None
    taxonomy: str | None
    prompt: str | None
    limit: int | None
    seed: int
    in_flight: int
    loading: Loading
    display: Display
    image_root: Path | None = None
    opener: Opener = field(factory=Opener)
    sample: int = 32
    tokens_per_second: float | None = None
    measure: bool = False
    group_sizes: tuple[int, int] | None = None


@click.command()
@DATA
@CONFIG
@MODEL
@click.option(
    "--strategy",
    multiple=True,
    shell_complete=names("strategy", joint="+"),
    help="What to ask; may be given repeatedly.  [default: dci]",
)
@WORDS
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Plan for the first N examples only.")
@SEED
@LOADING
@PICTURES
@IN_FLIGHT
@click.option(
    "--sample", type=click.IntRange(min=1), default=32, show_default=True, help="Most examples to drive strategies on."
)
@click.option("--tokens-per-second", type=click.FloatRange(min=0, min_open=True), metavar="R", help="A known rate.")
@click.option("--measure", is_flag=True, help="Load the model and time it on a few examples.")
@click.option("--group-sizes", type=Span(), help="Compare group sizes from LOW to HIGH, each 1.25 times the last.")
@click.option("--json", is_flag=True, help="Print JSON.")
@DISPLAY
@click.pass_context
def plan(
    context: click.Context,
    /,
    *,
    strategy: Sequence[str],
    json: bool,
    **more: Any,
) -> None:
    """Say what a run over DATA would ask and cost, without loading weights.

    The strategies run on real examples, with answers that no model gave; the model's tokenizer and configuration tell
    the rest. A server or the scripted model gives queries and rounds alone.
    """
    asked = Asked(strategies=strategy or ("dci",), **more)
    if asked.measure and asked.tokens_per_second is not None:
        raise click.UsageError("--measure and --tokens-per-second exclude each other; give one of them")
    show_plan(context, asked, json=json)


def show_plan(context: click.Context, asked: Asked, *, json: bool) -> None:
    """Make a plan and print it.

    Raises:
        UserError: The request is wrong.
    """
    from vlmkit.cli.plan_report import plan_json, plan_tables
    from vlmkit.planning import Plan, Planner

    say = asked.display.say
    registry = session(context).plugins.registry
    builder = Builder(registry)
    spec = dataset_spec(asked.data, registry)
    dataset = builder.dataset(spec, image_root=asked.image_root)
    answers = Answers.of(dataset, asked.labels, asked.taxonomy, builder)
    labels = answers.labels
    prompt = default_prompt() if asked.prompt is None else named_prompt(asked.prompt)
    strategies = [(text, builder.strategy(text)) for text in asked.strategies]
    swept = None if asked.group_sizes is None else _with_group_size(asked.strategies, registry)
    backend = build_backend(asked.model, builder, weights=asked.measure, **asked.loading)
    try:
        for _, strategy in strategies:
            if missing := strategy.requires - backend.capabilities:
                # By the user's name for it: a server would be asked for its own.
                raise CapabilityError(missing, strategy=type(strategy).__name__, backend=asked.model)
        total, examples = _sample(dataset, asked, labels)
        planner = Planner(
            backend,
            examples,
            labels,
            prompt,
            asked.seed,
            asked.in_flight,
            taxonomy=answers.taxonomy,
            opener=asked.opener,
        )
        parts = []
        for text, strategy in strategies:
            say(f"driving {text} on {len(examples):,} of {total:,} examples")
            parts.append(planner.plan(text, strategy, _rate(planner, asked, strategy)))
        made = Plan(
            model=redacted(asked.model),
            data=redacted(str(spec)),
            labels=len(labels),
            examples=total,
            driven=len(examples),
            strategies=tuple(parts),
            weights=planner.weights,
            notes=planner.notes,
        )
        if swept is not None:
            say(f"comparing group sizes of {swept}")
        sizes = None if swept is None else _sizes(planner, asked, swept, builder)
    finally:
        backend.close()
    if json:
        print_json(plan_json(made, sizes))
        return
    for table in plan_tables(made, sizes):
        console().print(table)
    for said in made.notes:
        note(said)


def _rate(planner: Planner, asked: Asked, strategy: Any) -> Rate | None:
    from vlmkit.planning import Rate

    if asked.measure:
        return planner.measure(strategy)
    return None if asked.tokens_per_second is None else Rate(asked.tokens_per_second, "given")


def _sample(dataset: Dataset, asked: Asked, labels: Any) -> tuple[int, list[Example]]:
    """Return the number of examples and some of them, spread evenly."""
    from vlmkit.runs import Survey, skimmed

    total = len(Survey.of(skimmed(dataset, asked.limit), labels).ids)
    count = min(total, asked.sample)
    chosen = {index * total // count for index in range(count)}
    return total, [example for index, example in enumerate(islice(dataset, asked.limit)) if index in chosen]


def _with_group_size(strategies: Sequence[str], registry: Registry) -> Chain:
    """Return the first strategy that has a group size, without it.

    Raises:
        SpecError: None has.
    """
    for text in strategies:
        chain = Chain.parse(text)
        innermost = chain.specs[-1]
        if "group_size" in Builder(registry).options(registry.get("strategy", innermost.name)):
            options = [(key, value) for key, value in innermost.options if key != "group_size"]
            return Chain([*chain.specs[:-1], Spec(innermost.name, options)])
    raise SpecError("no strategy here has a group size", hint="add --strategy dci or leave --group-sizes out")


def _sizes(planner: Planner, asked: Asked, chain: Chain, builder: Builder) -> Sizes:
    from attrs import evolve

    from vlmkit.planning import compare_sizes, spaced

    assert asked.group_sizes is not None
    *wrappers, innermost = chain.specs
    low, high = asked.group_sizes
    sizes = spaced(low, max(low, min(high, len(planner.labels))))

    def build(size: int) -> Any:
        options = [*innermost.options, ("group_size", str(size))]
        return builder.strategy(str(Chain([*wrappers, Spec(innermost.name, options)])))

    return compare_sizes(evolve(planner, examples=planner.examples[:SWEPT]), str(chain), sizes, build)
