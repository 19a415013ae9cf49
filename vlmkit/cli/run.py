"""``vlmkit run``: one strategy on one model over one data set."""

from __future__ import annotations

from pathlib import Path

import click

from vlmkit.cli.answers import Answers
from vlmkit.cli.display import Display
from vlmkit.cli.ending import end_run, plain_options
from vlmkit.cli.main import session
from vlmkit.cli.options import (
    CACHE,
    CONFIG,
    DATA,
    DISPLAY,
    ENGINE,
    FAIL_ON_ERROR,
    IN_FLIGHT,
    LOADING,
    MODEL,
    PICTURES,
    SEED,
    STRATEGY,
    WORDS,
    Budget,
)
from vlmkit.cli.output import console, print_json, warning
from vlmkit.contracts import Reports
from vlmkit.data.opening import Opener
from vlmkit.engine import PlacesModels
from vlmkit.engine.models import Loading
from vlmkit.engine.pipeline import Pipeline
from vlmkit.errors import SpecError, UserError
from vlmkit.registry import Builder, Chain
from vlmkit.registry.source import dataset_spec
from vlmkit.runs import Experiment, Run, Survey, default_directory, skimmed
from vlmkit.types import Taxonomy


@click.command()
@DATA
@CONFIG
@MODEL
@STRATEGY
@WORDS
@click.option("--output", type=click.Path(path_type=Path), metavar="DIR", help="Run directory; an earlier run goes on.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Solve the first N examples only.")
@SEED
@LOADING
@PICTURES
@IN_FLIGHT
@CACHE
@ENGINE
@click.option("--log-samples", is_flag=True, help="Write every query with its answer to samples.jsonl.")
@FAIL_ON_ERROR
@click.option(
    "--abstain-below",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    metavar="P",
    help="Count predictions of less confidence as abstained from.",
)
@click.option("--retry-failed", is_flag=True, help="Try the failed examples of the newest such run again, no others.")
@click.option("--fresh", is_flag=True, help="Start a new run, whatever unfinished one there is.")
@click.option("--dry-run", is_flag=True, help="Say what the run would ask and cost (vlmkit plan), and end.")
@click.option("--json", is_flag=True, help="Print the results as JSON.")
@DISPLAY
@click.pass_context
def run(
    context: click.Context,
    *,
    data: str,
    model: str,
    strategy: str,
    labels: Path | None,
    taxonomy: str | None,
    prompt: str | None,
    output: Path | None,
    limit: int | None,
    seed: int,
    loading: Loading,
    image_root: Path | None,
    opener: Opener,
    in_flight: int,
    cache: Path | None,
    engine: str,
    workers: int | None,
    gpus_per_worker: float | None,
    address: str | None,
    devices: str | None,
    log_samples: bool,
    fail_on_error: Budget,
    abstain_below: float,
    retry_failed: bool,
    fresh: bool,
    dry_run: bool,
    json: bool,
    display: Display,
) -> None:
    """Run a strategy on a model over DATA and write a run directory.

    DATA is an image, a folder (the names of its sub-folders are the targets), a CSV or JSONL manifest, a Parquet file,
    a tar archive of samples, or a data set (vlmkit ls datasets). Without any arguments the embedded model runs on the
    embedded data. The same command goes on with an unfinished run.
    """
    if retry_failed and fresh:
        raise UserError("--retry-failed and --fresh are two things to do", hint="give one of them")
    if dry_run:
        from vlmkit.cli.plan import Asked, show_plan

        asked = Asked(
            data=data,
            model=model,
            strategies=(strategy,),
            labels=labels,
            taxonomy=taxonomy,
            prompt=prompt,
            limit=limit,
            seed=seed,
            in_flight=in_flight,
            loading=loading,
            image_root=image_root,
            opener=opener,
            display=display,
        )
        show_plan(context, asked, json=json)
        return
    # rich, only now: --help stays quick.
    from vlmkit.cli.run_report import PREDICTIONS_SHOWN, predictions_table, results_table

    plugins = session(context).plugins
    spec = dataset_spec(data, plugins.registry)
    builder = Builder(plugins.registry)
    dataset = builder.dataset(spec, image_root=image_root)
    solver = builder.engine(
        "devices" if devices and engine == "local" else engine,
        workers=workers,
        gpus_per_worker=gpus_per_worker,
        address=address,
        devices=devices,
    )
    if isinstance(solver, PlacesModels):
        if loading["device"] is not None:
            raise SpecError("--device names one device, and --devices names all", hint="leave --device out")
        loading["device"] = solver.devices[0]
    answers = Answers.of(dataset, labels, taxonomy, builder)
    space = answers.labels
    if answers.given is not None:
        display.say(_shape(answers.given))
    with Pipeline(
        model,
        strategy,
        seed=seed,
        prompt=prompt,
        in_flight=in_flight,
        keep_exchanges=log_samples,
        cache=cache,
        opener=opener,
        plugins=plugins,
        **loading,
    ) as pipeline:
        survey = Survey.of(skimmed(dataset, limit), space)
        if space.collisions:
            more = f" (and {len(space.collisions) - 1:,} more such groups)" if len(space.collisions) > 1 else ""
            alike = ", ".join(map(repr, space.collisions[0]))
            warning(f"these labels differ in case or outer blanks only: {alike}{more}")
        experiment = Experiment(
            pipeline=pipeline,
            dataset=dataset,
            data=str(spec),
            labels=space,
            survey=survey,
            config=plain_options(context, without=frozenset({"dry_run"})),
            plugins=plugins,
            taxonomy=answers.taxonomy,
            given=answers.given,
            limit=limit,
            allowed=fail_on_error,
            abstain_below=abstain_below,
            say=display.say,
            warn=warning,
            watch=display.watch,
            resumed="examples are done (--fresh starts a new run)",
            engine=solver,
        )
        if output is None:
            name = "-".join(part.name for part in Chain.parse(strategy).specs)
            output = default_directory(experiment.fingerprint, name, fresh=fresh, finished=retry_failed)
        with Run.open(experiment, output, fresh=fresh, failed_only=retry_failed) as working:
            results = working.execute()
            if abstain_below and all(record.confidence is None for record in working.files.records()):
                warning("--abstain-below keeps every prediction: the scores of this run give no confidence")
            if isinstance(pipeline.uncached, Reports):
                for line in pipeline.uncached.report():
                    display.say(line)
            if json:
                print_json(results)
            else:
                screen = console()
                if not survey.judged:
                    screen.print(predictions_table(working.files.records(), abstain_below))
                    if results["n"]["done"] + results["n"]["failed"] > PREDICTIONS_SHOWN:
                        display.say(f"the first {PREDICTIONS_SHOWN}; all are in {output / 'predictions.jsonl'}")
                screen.print(results_table(results, judged=survey.judged))
    end_run(context, results, fail_on_error)


def _shape(taxonomy: Taxonomy) -> str:
    root = f"; {taxonomy.root!r} is its root and no level" if taxonomy.root else ""
    return f"taxonomy: {len(taxonomy.paths):,} leaves, {taxonomy.depth} levels{root}"
