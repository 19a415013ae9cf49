"""``vlmkit hierarchy probe``: what can be read off a model's hidden states, level by level."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from vlmkit.cli.display import Display
from vlmkit.cli.ending import plain_options
from vlmkit.cli.main import session
from vlmkit.cli.options import CONFIG, DATA, DISPLAY, IN_FLIGHT, LOADING, MODEL, SEED
from vlmkit.cli.output import console, print_json, warning
from vlmkit.engine.models import Loading, build_backend
from vlmkit.registry import Builder
from vlmkit.registry.source import dataset_spec
from vlmkit.runs import RunDirectory, Survey, Tally
from vlmkit.runs.convert import dumps
from vlmkit.runs.files import write_atomically
from vlmkit.runs.manifest import manifest
from vlmkit.types.query import Pool
from vlmkit_hierarchy.taxonomies import TAXONOMY, taxonomy_of

SENTENCE = "Given the {leaf}, what is it?"
"""What a leaf's name stands in for probes of text."""


@click.command()
@DATA
@CONFIG
@TAXONOMY
@MODEL
@click.option("--at", help="Sites, joined by commas.  [default: encoder,projector,layer:-1; of text layer:-1]")
@click.option("--pool", type=click.Choice(["mean", "last"]), default="mean", show_default=True, help="How tokens pool.")
@click.option("--text", is_flag=True, help="Probe words: the name of each leaf in a sentence, and no image.")
@click.option("--sentence", default=SENTENCE, show_default=True, help="The sentence of --text; {leaf} is the name.")
@click.option("--validation", default=0.2, show_default=True, help="Share of the examples that settings are chosen on.")
@click.option("--test", default=0.2, show_default=True, help="Share of the examples that are judged.")
@click.option("--shuffle-labels", is_flag=True, help="A control: labels are dealt out anew, which leaves only chance.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Take the first N examples only.")
@click.option("--output", type=click.Path(path_type=Path), metavar="DIR", help="Where features and results are kept.")
@SEED
@LOADING
@IN_FLIGHT
@click.option("--json", is_flag=True, help="Print the results as JSON.")
@DISPLAY
@click.pass_context
def probe(
    context: click.Context,
    *,
    data: str,
    taxonomy: str | None,
    model: str,
    at: str | None,
    pool: Pool,
    text: bool,
    sentence: str,
    validation: float,
    test: float,
    shuffle_labels: bool,
    limit: int | None,
    output: Path | None,
    seed: int,
    loading: Loading,
    in_flight: int,
    json: bool,
    display: Display,
) -> None:
    """Train linear probes on the features of DATA, one for each level of its taxonomy, and judge them.

    Features are taken after the vision encoder, after the projector, and after any number of layers of the language
    model (layer:12, layer:-1). They are kept: the same command goes on with those that are there, and trains again.
    A path is right where the probes of all its levels are.
    """
    # torch and rich, only now: --help stays quick.
    from vlmkit_hierarchy.probes.look import FOLDER, Look, look
    from vlmkit_hierarchy.probes.split import Split
    from vlmkit_hierarchy.probes.store import Store
    from vlmkit_hierarchy.probes.study import Study, default_folder
    from vlmkit_hierarchy.probes.tables import probe_table

    try:
        split = Split(validation, test, seed)
    except ValueError as error:
        raise click.UsageError(str(error.args[0])) from None
    sites = at or ("layer:-1" if text else "encoder,projector,layer:-1")
    strategy = Look([site.strip() for site in sites.split(",")], pool, "text" if text else "image")
    plugins = session(context).plugins
    builder = Builder(plugins.registry)
    spec = dataset_spec(data, plugins.registry)
    dataset = builder.dataset(spec)
    tree = taxonomy_of(dataset, taxonomy, builder)
    if text:
        study = Study.of_words(str(spec), sentence, tree, strategy, limit)
    else:
        study = Study.of_images(str(spec), dataset, tree, strategy, limit)
    ids = Survey.of(study.examples(), study.labels).ids
    backend = build_backend(model, builder, **loading)
    with closing(backend):
        identity = study.fingerprint(backend)
        output = output or default_folder(identity)
        start = manifest(
            fingerprint=identity,
            config=plain_options(context),
            backend=backend,
            labels=study.labels,
            plugins=plugins,
            seed=seed,
            taxonomy=tree,
        )
        with RunDirectory.open(output, start) as files:
            if files.continued:
                display.say(f"{output} has the features of {len(files.done):,} examples")
            with display.watch(len(ids), files.records()) as progress:
                look(strategy, backend, study.examples(), study.labels, files, in_flight=in_flight, advance=progress)
            backend.close()  # the probes may want its memory
            table = Store(files.path / FOLDER).read(ids)
            results = {
                "model": dict(backend.identity),
                "failed": Tally.of(files.records()).failed,
                **study.results(table, split, shuffle=shuffle_labels, device=loading["device"]),
            }
            path = output / ("probe-shuffled.json" if shuffle_labels else "probe.json")
            write_atomically(path, [dumps(results, indent=2), b"\n"])
    if left := results["examples"] - sum(results["split"].values()):
        warning(f"{left:,} of {results['examples']:,} examples are left out: fewer than three are of their kind")
    if json:
        print_json(results)
        return
    console().print(probe_table(results))
    display.say(f"results in {path}")
