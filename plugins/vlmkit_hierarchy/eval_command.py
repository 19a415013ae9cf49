"""``vlmkit hierarchy eval``: figures over paths for a question bank, a run, or anyone's predictions."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import click

from vlmkit import Letter, Likelihood, Pipeline
from vlmkit.cli.display import Display
from vlmkit.cli.ending import end_run, plain_options
from vlmkit.cli.main import session
from vlmkit.cli.options import CACHE, CONFIG, DISPLAY, FAIL_ON_ERROR, IN_FLIGHT, LOADING, MODEL, Budget
from vlmkit.cli.output import console, print_json, warning
from vlmkit.engine.models import Loading
from vlmkit.errors import UserError
from vlmkit.registry import Builder
from vlmkit.registry.source import dataset_spec
from vlmkit.runs import Experiment, Run, StoredRun, Survey, default_directory
from vlmkit.runs.fingerprint import described
from vlmkit_hierarchy.asked import AskedImages
from vlmkit_hierarchy.asking import AskSheet, Mode, text_prompt
from vlmkit_hierarchy.bank import Bank
from vlmkit_hierarchy.grading import of_bank, of_replies
from vlmkit_hierarchy.judging import judge_predictions, judge_run, taxonomy_of_run
from vlmkit_hierarchy.letters import LETTER_PARSERS
from vlmkit_hierarchy.summary import Grading

READOUTS: Mapping[str, Letter | Likelihood | None] = {"letter": Letter(), "likelihood": Likelihood(), "generate": None}


@click.command("eval")
@click.argument("questions", required=False, type=click.Path(path_type=Path), metavar="[QUESTIONS.jsonl]")
@CONFIG
@click.option(
    "--run",
    "directory",
    envvar="VLMKIT_HIERARCHY_EVAL_RUN",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Judge this run; ask nothing.",
)
@click.option(
    "--predictions", type=click.Path(path_type=Path), metavar="FILE.jsonl", help="Judge these answers; ask nothing."
)
@click.option("--taxonomy", metavar="FILE|FORMAT:...", help="The tree, where there are no QUESTIONS.")
@click.option("--count-root", is_flag=True, help="Count the root as a level, which is always right.")
@click.option("--ignore-case", is_flag=True, help="Compare names without regard to case.")
@click.option("--mode", type=click.Choice(get_args(Mode)), default="image", show_default=True, help="What is shown.")
@click.option(
    "--autofill-leaf/--no-autofill-leaf",
    default=None,
    help="Count the leaf as right without asking about it.  [default: in text mode, which names it]",
)
@click.option(
    "--readout",
    type=click.Choice(list(READOUTS)),
    default="letter",
    show_default=True,
    help="How a choice is read off the model.",
)
@click.option(
    "--parser",
    type=click.Choice(list(LETTER_PARSERS)),
    default=next(iter(LETTER_PARSERS)),
    show_default=True,
    help="Reads the letter in generated text; results have the figures of the others too.",
)
@click.option("--max-tokens", type=click.IntRange(min=1), default=10, show_default=True, help="Longest generated text.")
@click.option("--data", metavar="DATA", help="Where the images are.  [default: what the header of QUESTIONS says]")
@MODEL
@click.option("--prompt", metavar="NAME|FILE", help="The words of the questions.")
@click.option("--output", type=click.Path(path_type=Path), metavar="DIR", help="Run directory; an earlier run goes on.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Ask about the first N images only.")
@LOADING
@IN_FLIGHT
@CACHE
@FAIL_ON_ERROR
@click.option("--fresh", is_flag=True, help="Start a new run, whatever unfinished one there is.")
@click.option("--json", is_flag=True, help="Print the results as JSON.")
@DISPLAY
@click.pass_context
def evaluate(
    context: click.Context,
    /,
    *,
    questions: Path | None,
    directory: Path | None,
    predictions: Path | None,
    taxonomy: str | None,
    count_root: bool,
    ignore_case: bool,
    json: bool,
    **asking: Any,
) -> None:
    """Judge predicted paths: HCA, leaf accuracy and the other figures of docs/hierarchy.md.

    With QUESTIONS alone a model is asked them: a run, which the same command continues. --predictions FILE judges
    anyone's answers, with QUESTIONS or with --taxonomy. --run DIR judges what vlmkit run wrote with a strategy of its
    own (tree, flat, dci), over the taxonomy of that run.
    """
    if directory is not None and predictions is not None:
        raise UserError("--run and --predictions are two things to judge", hint="give one of them")
    if questions is not None and taxonomy is not None:
        raise UserError("QUESTIONS come with their own taxonomy", hint="leave --taxonomy out")
    grading = Grading(count_root=count_root, ignore_case=ignore_case)
    bank = None if questions is None else Bank.open(questions)
    builder = Builder(session(context).plugins.registry)
    if directory is not None:
        results = judge_run(directory, bank or taxonomy_of_run(directory, taxonomy, builder), grading)
    elif predictions is not None:
        if bank is None and taxonomy is None:
            raise UserError("there is no taxonomy to judge by", hint="give --taxonomy FILE or QUESTIONS")
        results = judge_predictions(predictions, bank or builder.taxonomy(str(taxonomy)), grading)
    elif bank is not None:
        results = _ask(context, bank, grading, **asking)
    else:
        raise UserError("there is nothing to judge", hint="give QUESTIONS, --run DIR or --predictions FILE")
    if json:
        print_json(results)
    else:
        from vlmkit_hierarchy.tables import figures_table

        console().print(figures_table(results))
    end_run(context, results, asking["fail_on_error"], what="images")


def _ask(
    context: click.Context,
    bank: Bank,
    grading: Grading,
    *,
    mode: Mode,
    autofill_leaf: bool | None,
    readout: str,
    parser: str,
    max_tokens: int,
    data: str | None,
    model: str,
    prompt: str | None,
    output: Path | None,
    limit: int | None,
    loading: Loading,
    in_flight: int,
    cache: Path | None,
    fail_on_error: Budget,
    fresh: bool,
    display: Display,
) -> dict[str, Any]:
    """Put a bank to a model; return the results of the run."""
    plugins = session(context).plugins
    filled = mode == "text" if autofill_leaf is None else autofill_leaf
    strategy = AskSheet(
        sheet_of=bank.sheet,
        ranks=bank.taxonomy.ranks,
        mode=mode,
        autofill_leaf=filled,
        readout=READOUTS[readout],
        parser=parser,
        max_tokens=max_tokens,
    )
    images = None
    if mode == "image":
        spec = dataset_spec(data or str(bank.header.get("data")), plugins.registry)
        images = Builder(plugins.registry).dataset(spec)
    asked = AskedImages(bank, images)

    def judged(directory: Path) -> dict[str, Any]:
        pairs = of_bank(StoredRun.read(directory).records(), bank)
        results = grading.results(pairs, bank.taxonomy)
        if READOUTS[readout] is None:
            others = [name for name in LETTER_PARSERS if name != parser]
            by_parser = {
                name: grading.figures(of_replies(directory, bank, name, autofill_leaf=filled), bank.taxonomy)
                for name in others
            }
            results |= {"parser": parser, "other_parsers": by_parser}
        return results

    with Pipeline(
        model,
        strategy,
        prompt=prompt or (text_prompt() if mode == "text" else None),
        in_flight=in_flight,
        cache=cache,
        keep_exchanges=True,
        plugins=plugins,
        **loading,
    ) as pipeline:
        experiment = Experiment(
            pipeline=pipeline,
            dataset=asked,
            data=f"questions:{described(bank.path)}",
            labels=asked.labels,
            survey=Survey(tuple(example.id for example in islice(asked, limit)), judged=True),
            config=plain_options(context),
            plugins=plugins,
            limit=limit,
            allowed=fail_on_error,
            say=display.say,
            warn=warning,
            watch=display.watch,
            resumed="images are done (--fresh starts a new run)",
        )
        output = output or default_directory(experiment.fingerprint, f"hierarchy-{bank.path.stem}", fresh=fresh)
        with Run.open(experiment, output, fresh=fresh) as run:
            results = run.execute() | judged(output)
            run.files.write_results(results)
    return results
