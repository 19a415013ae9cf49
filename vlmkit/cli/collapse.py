"""``vlmkit bench collapse``: accuracy and cost against the number of labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import click

from vlmkit.cli.display import Display
from vlmkit.cli.ending import end_run, plain_options
from vlmkit.cli.main import session
from vlmkit.cli.options import CACHE, CONFIG, DISPLAY, FAIL_ON_ERROR, IN_FLIGHT, LOADING, Budget
from vlmkit.cli.output import console, note, print_json, show, table, warning, write_text
from vlmkit.cli.several import Several
from vlmkit.contracts import Backend, OffersTaxonomy
from vlmkit.engine.models import Loading
from vlmkit.errors import DataError
from vlmkit.prompts import Prompt, default_prompt, named_prompt
from vlmkit.registry import Builder, Chain
from vlmkit.registry.source import dataset_spec
from vlmkit.runs.convert import dumps
from vlmkit.runs.fingerprint import model_identity


@click.command()
@click.argument("model", default="tiny")
@CONFIG
@click.option(
    "--strategies",
    multiple=True,
    default=("flat,dci:group_size=20",),
    show_default=True,
    metavar="LIST",
    help="What to ask, joined by commas; may be repeated.",
)
@click.option(
    "--data", default="glyphs:labels=1000,images=1000", show_default=True, help="Pictures and labels, as for run."
)
@click.option(
    "--labels",
    type=Several(click.IntRange(min=2)),
    metavar="LIST",
    help="Numbers of labels.  [default: 10,20,50,100,... and all]",
)
@click.option("--images", type=click.IntRange(min=1), default=50, show_default=True, help="Images of each seed.")
@click.option(
    "--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="How often, with other images and labels."
)
@click.option(
    "--subsets",
    type=click.Choice(["nested", "independent"]),
    default="nested",
    show_default=True,
    help="Whether a larger subset of an image's labels holds its smaller ones.",
)
@click.option("--prompt", metavar="NAME|FILE", help="The words of the questions.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the runs are kept.  [default: a directory of its own in runs/]",
)
@LOADING
@IN_FLIGHT
@CACHE
@FAIL_ON_ERROR
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw accuracy and seconds over labels into a PNG, SVG or PDF.",
)
@click.option(
    "--markdown", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the tables, too."
)
@click.option("--csv", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the figures, too.")
@click.option("--json", is_flag=True, help="Print JSON.")
@DISPLAY
@click.pass_context
def collapse(
    context: click.Context,
    *,
    model: str,
    strategies: tuple[str, ...],
    data: str,
    labels: Sequence[int] | None,
    images: int,
    seeds: int,
    subsets: Any,
    prompt: str | None,
    output: Path | None,
    loading: Loading,
    in_flight: int,
    cache: Path | None,
    fail_on_error: Budget,
    plot: Path | None,
    markdown: Path | None,
    csv: Path | None,
    json: bool,
    display: Display,
) -> None:
    """Measure accuracy and cost against the number of labels.

    Every image is put to every strategy with the same subset of the labels of DATA, which holds its right label. Each
    strategy, number of labels and seed is a run directory in --output; the same command goes on where it was cut off.
    """
    # torch and rich, only now: --help stays quick.
    from vlmkit.bench.collapse.cells import Cells
    from vlmkit.bench.collapse.figures import Point
    from vlmkit.bench.collapse.images import draw_samples
    from vlmkit.bench.collapse.plot import plot as draw
    from vlmkit.bench.collapse.tables import csv_text, sheets
    from vlmkit.bench.plot import check_plot
    from vlmkit.cache import AnswerStore
    from vlmkit.engine.models import build_backend
    from vlmkit.runs import to_json
    from vlmkit.testing.parity_page import setting

    if plot is not None:
        check_plot(plot)
    plugins = session(context).plugins
    builder = Builder(plugins.registry)
    specs = dict.fromkeys(str(chain) for text in strategies for chain in Chain.parse_several(text))
    source = dataset_spec(data, plugins.registry)
    dataset = builder.dataset(source)
    words = default_prompt() if prompt is None else named_prompt(prompt)
    backend = build_backend(model, builder, **loading)
    with closing(backend), nullcontext() if cache is None else AnswerStore.open(cache) as store:
        cells = Cells(
            backend=backend,
            strategies={spec: builder.strategy(spec) for spec in specs},
            labels=_counts(labels, len(dataset.labels)),
            samples=dict(enumerate(draw_samples(dataset, images, range(seeds)))),
            kind=subsets,
            data=str(source),
            taxonomy=dataset.taxonomy if isinstance(dataset, OffersTaxonomy) else None,
            prompt=words,
            in_flight=in_flight,
            cache=store,
            output=output or _folder(backend, str(source), words, subsets),
            plugins=plugins,
            config=plain_options(context),
            allowed=fail_on_error,
            say=display.say,
            warn=warning,
            watch=display.watch,
        )
        failed = []
        for results in cells.execute():
            if results["status"] == "cancelled":
                end_run(context, results, fail_on_error, output=str(cells.output))
            if results["status"] == "failed":
                failed.append(results)
        points = [
            Point.of(strategy, count, cells.records(strategy, count)) for strategy in specs for count in cells.labels
        ]
    if any(point.cost.cached for point in points):
        warning("answers came out of the cache: forwards, tokens and seconds are those of the other questions")
    machine = setting(loading["device"])
    asked_about = f"{model}, {images:,} images for each of {seeds:,} seeds"
    shown = sheets(points)
    if json:
        asked = {"data": str(source), "images": images, "seeds": seeds, "subsets": subsets}
        print_json(
            {"setting": machine, "model": model, **asked, "output": str(cells.output), "points": to_json(points)}
        )
    else:
        for sheet in shown:
            click.echo(f"{sheet.title}:")
            console().print(table(sheet.columns, sheet.rows))
        show(f"{asked_about}; runs in {cells.output}")
    if plot is not None:
        draw(points, f"{asked_about}\n{machine.partition(';')[0]}", plot)
        note(f"written: {plot}")
    if markdown is not None:
        write_text(markdown, "\n\n".join([*(sheet.markdown() for sheet in shown), f"{machine}.\n"]))
    if csv is not None:
        write_text(csv, csv_text(points))
    for results in failed[:1]:
        end_run(context, results, fail_on_error, output=str(cells.output))


def _counts(labels: Sequence[int] | None, most: int) -> Sequence[int]:
    """Return the numbers of labels, ascending.

    Raises:
        DataError: There are not so many.
    """
    if most < 2:
        raise DataError("the data has no two labels to choose between", hint="give data with targets")
    if labels is None:
        usual = (digit * 10**power for power in range(1, len(str(most))) for digit in (1, 2, 5))
        return [*(count for count in usual if count < most), most]
    if max(labels) > most:
        raise DataError(f"the data has {most:,} labels, not {max(labels):,}", hint="give fewer with --labels")
    return sorted(labels)


def _folder(backend: Backend, data: str, prompt: Prompt, subsets: str) -> Path:
    """Return a directory that the same model, data, words and kind of subsets find again, and no others do."""
    content = dumps([model_identity(backend), data, prompt.digest, subsets])
    return Path("runs") / f"collapse-{hashlib.sha256(content).hexdigest()[:8]}"
