"""``vlmkit mimic eval``: figures for models, runs, or anyone's answers, side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from vlmkit import Pipeline
from vlmkit.cli.display import Display
from vlmkit.cli.ending import end_run, plain_options
from vlmkit.cli.main import session
from vlmkit.cli.options import (
    CACHE,
    CONFIG,
    DISPLAY,
    FAIL_ON_ERROR,
    IN_FLIGHT,
    LOADING,
    MODEL,
    SEED,
    Budget,
)
from vlmkit.cli.output import console, note, print_json, warning
from vlmkit.engine.models import Loading
from vlmkit.registry import Chain, Spec
from vlmkit.runs import Experiment, Run, Survey
from vlmkit.runs.convert import dumps, to_json
from vlmkit_mimic.answers import Answers, of_predictions, of_run
from vlmkit_mimic.benchmark import Benchmark
from vlmkit_mimic.dataset import Mimic
from vlmkit_mimic.figures import FACTORS, Report
from vlmkit_mimic.reading import Vocabulary
from vlmkit_mimic.scorers import SCORERS

_DEFAULT_FACTORS = FACTORS[:5]


@click.command("eval")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.jsonl")
@CONFIG
@MODEL
@click.option(
    "--strategy",
    "strategies",
    envvar="VLMKIT_MIMIC_EVAL_STRATEGY",
    multiple=True,
    help="What to ask; may be repeated.  [default: flat]",
)
@click.option(
    "--run",
    "runs",
    envvar="VLMKIT_MIMIC_EVAL_RUN",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Judge this run, too.",
)
@click.option(
    "--predictions",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE.jsonl",
    help="Judge these answers, too: id and answer.",
)
@click.option("--images", type=click.Path(path_type=Path), metavar="DIR", help="Pictures elsewhere than FILE says.")
@click.option(
    "--scorer",
    "scorers",
    envvar="VLMKIT_MIMIC_EVAL_SCORER",
    type=click.Choice([*SCORERS]),
    multiple=True,
    help="May be repeated.  [default: strict]",
)
@click.option(
    "--by",
    "factors",
    envvar="VLMKIT_MIMIC_EVAL_BY",
    type=click.Choice(FACTORS),
    multiple=True,
    help=f"A table for this factor; may be repeated.  [default: {', '.join(_DEFAULT_FACTORS)}]",
)
@click.option("--plots", type=click.Path(path_type=Path), metavar="DIR", help="Draw a plot for each factor.")
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="DIR", help="Where runs are kept.  [default: runs/mimic-NAME]"
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Ask the first N items only.")
@SEED
@LOADING
@IN_FLIGHT
@CACHE
@FAIL_ON_ERROR
@click.option("--json", is_flag=True, help="Print the figures as JSON.")
@DISPLAY
@click.pass_context
def evaluate(
    context: click.Context,
    /,
    *,
    file: Path,
    strategies: tuple[str, ...],
    runs: tuple[Path, ...],
    predictions: tuple[Path, ...],
    scorers: tuple[str, ...],
    factors: tuple[str, ...],
    plots: Path | None,
    json: bool,
    **asking: Any,
) -> None:
    """Judge answers to the questions of FILE, which vlmkit mimic build has made.

    A model is asked them with each --strategy: a run, which the same command continues. --run judges what vlmkit run
    mimic:file=FILE wrote, --predictions anyone's answers; with one of these a model is only asked where --strategy is
    given.
    """
    if plots is not None:
        from vlmkit_mimic.plots import check_plots

        check_plots(plots)
    benchmark = Benchmark.read(file)
    answered = [
        *(of_run(directory, benchmark) for directory in runs),
        *(of_predictions(path, benchmark) for path in predictions),
    ]
    results = []
    for strategy in strategies or (() if answered else ("flat",)):
        results.append(_ask(context, file, strategy, **asking))
        if results[-1]["n"]["done"]:
            answered.append(of_run(Path(results[-1]["directory"]), benchmark, name=strategy))
        if results[-1]["status"] == "cancelled":
            break
    if answered:
        _judge(benchmark, answered, scorers or ("strict",), factors or _DEFAULT_FACTORS, plots, json=json)
    for result in results:
        folder = str(Path(result["directory"]).parent)
        end_run(context, result, asking["fail_on_error"], what="items", output=folder)


def _judge(
    benchmark: Benchmark,
    answered: Sequence[Answers],
    scorers: Sequence[str],
    factors: Sequence[str],
    plots: Path | None,
    *,
    json: bool,
) -> None:
    """Print the figures of all answers, and draw them."""
    named = _distinct([answers.name for answers in answered])
    reports = dict(_reports(benchmark, answered, named, scorers, factors))
    _warn_of_gaps(answered, named)
    if plots is not None:
        from vlmkit_mimic.plots import plot_factors

        for path in plot_factors(reports, benchmark.path.stem, plots):
            note(f"drawn: {path}")
    if json:
        print_json(_plain(benchmark, answered, named, reports))
    else:
        _show(reports)


def _ask(
    context: click.Context,
    file: Path,
    strategy: str,
    *,
    model: str,
    images: Path | None,
    output: Path | None,
    limit: int | None,
    seed: int,
    loading: Loading,
    in_flight: int,
    cache: Path | None,
    fail_on_error: Budget,
    display: Display,
) -> dict[str, Any]:
    """Put the questions to a model; return the results of the run."""
    plugins = session(context).plugins
    given = {"file": str(file)} | ({} if images is None else {"images": str(images)})
    dataset = Mimic(file, images)
    asked = dataset.benchmark.items[:limit]
    with Pipeline(
        model,
        strategy,
        seed=seed,
        in_flight=in_flight,
        cache=cache,
        plugins=plugins,
        **loading,
    ) as pipeline:
        experiment = Experiment(
            pipeline=pipeline,
            dataset=dataset,
            data=str(Spec("mimic", given)),
            labels=dataset.labels,
            survey=Survey(tuple(item.id for item in asked), judged=False),
            config=plain_options(context) | {"strategy": strategy},
            plugins=plugins,
            limit=limit,
            allowed=fail_on_error,
            say=display.say,
            warn=warning,
            watch=display.watch,
            resumed="answers are there already",
        )
        # The same command finds its directory again, and another one never does.
        content = dumps([experiment.fingerprint, dataset.benchmark.header.digest])
        names = "-".join(part.name for part in Chain.parse(strategy).specs)
        folder = output or Path("runs") / f"mimic-{file.stem}"
        with Run.open(experiment, folder / f"{names}-{hashlib.sha256(content).hexdigest()[:8]}") as run:
            return run.execute()


def _reports(
    benchmark: Benchmark,
    answered: Sequence[Answers],
    names: Sequence[str],
    scorers: Sequence[str],
    factors: Sequence[str],
) -> Iterator[tuple[str, Report]]:
    vocabulary = Vocabulary(benchmark.header.classes)
    for answers, name in zip(answered, names, strict=True):
        for scorer in dict.fromkeys(scorers):
            scored = [
                (item, score)
                for item in benchmark.items
                if item.id in answers.replies
                and (score := SCORERS[scorer](item, answers.replies[item.id], vocabulary)) is not None
            ]
            yield f"{name} ({scorer})" if len(scorers) > 1 else name, Report.of(scored, dict.fromkeys(factors))


def _show(reports: Mapping[str, Report]) -> None:
    from vlmkit_mimic.tables import factor_table, totals_table

    screen = console()
    screen.print(totals_table(reports))
    for factor in next(iter(reports.values())).factors:
        made = factor_table(factor, reports)
        if made is not None:
            screen.print(made)


def _warn_of_gaps(answered: Sequence[Answers], names: Sequence[str]) -> None:
    for answers, name in zip(answered, names, strict=True):
        for ids, what in ((answers.missing, "items without an answer"), (answers.unknown, "answers to unknown ids")):
            if ids:
                warning(f"{name}: {len(ids):,} {what}, left out; the first: {ids[0]}")


def _plain(
    benchmark: Benchmark, answered: Sequence[Answers], names: Sequence[str], reports: Mapping[str, Report]
) -> dict[str, Any]:
    return {
        "benchmark": str(benchmark.path),
        "digest": benchmark.header.digest,
        "items": len(benchmark.items),
        "answers": {
            name: {"answered": len(one.replies), "missing": list(one.missing), "unknown": list(one.unknown)}
            for one, name in zip(answered, names, strict=True)
        },
        "figures": {name: to_json(report) for name, report in reports.items()},
    }


def _distinct(names: Sequence[str]) -> list[str]:
    """Return the names, those that are taken with a number behind."""
    made: dict[str, None] = {}
    for name in names:
        number, free = 1, name
        while free in made:
            number += 1
            free = f"{name} {number}"
        made[free] = None
    return list(made)
