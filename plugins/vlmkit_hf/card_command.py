"""``vlmkit hf card``: a run's results as metadata of a model on the Hub."""

from __future__ import annotations

from pathlib import Path

import click

from vlmkit.cli.output import note
from vlmkit.data.text import TextFile
from vlmkit.errors import UserError
from vlmkit.runs import StoredRun


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="File to write.  [default: stdout]")
@click.option("--merge", is_flag=True, help="Add the results to the card that --output names.")
@click.option("--eval-results", is_flag=True, help="Write the form of .eval_results/*.yaml instead of a card.")
@click.option("--model", metavar="ID", help="Name of the model.  [default: what the run says]")
@click.option("--dataset", metavar="ID", help="Data set on the Hub.  [default: what the run says]")
@click.option("--url", help="Where the results can be looked up.")
@click.option("--partial", is_flag=True, help="Export a run that ended early, failed, or was under --limit.")
def card(
    *,
    run: Path,
    output: Path | None,
    merge: bool,
    eval_results: bool,
    model: str | None,
    dataset: str | None,
    url: str | None,
    partial: bool,
) -> None:
    """Write the results of RUN, a run directory, as the evaluation metadata of a model card."""
    from vlmkit_hf.card import card_text, eval_results_text
    from vlmkit_hf.evaluation import Evaluation

    if merge and (output is None or eval_results):
        raise UserError("--merge adds to a card", hint="give it with --output README.md and without --eval-results")
    there = output is not None and output.exists()
    if there and not merge:
        raise UserError(f"{output} is there already", hint="--merge adds the results to a card")
    evaluation = Evaluation.of(StoredRun.read(run), model=model, dataset=dataset, partial=partial)
    if eval_results:
        text = eval_results_text(evaluation, url=url)
    else:
        earlier = TextFile(output, "model card", UserError).read() if output is not None and there else None
        text = card_text(evaluation, url=url, earlier=earlier)
    if output is None:
        click.echo(text, nl=False)
        return
    from vlmkit.runs.files import write_atomically

    write_atomically(output, [text.encode()])
    note(f"wrote {output}")
