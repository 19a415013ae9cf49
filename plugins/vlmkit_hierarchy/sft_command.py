"""``vlmkit hierarchy sft-data``: conversations for fine-tuning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

import click

from vlmkit import Letter, Likelihood
from vlmkit.cli.main import session
from vlmkit.cli.options import CONFIG
from vlmkit.cli.output import note
from vlmkit.prompts import named_prompt
from vlmkit.registry import Builder
from vlmkit.registry.source import dataset_spec
from vlmkit.runs.convert import dumps
from vlmkit.runs.files import disk_errors, write_atomically
from vlmkit_hierarchy.asking import Mode
from vlmkit_hierarchy.bank import Bank
from vlmkit_hierarchy.sft import conversations

ANSWERS: Mapping[str, Letter | Likelihood] = {"letter": Letter(), "likelihood": Likelihood()}


@click.command("sft-data")
@click.argument("questions", type=click.Path(path_type=Path), metavar="QUESTIONS.jsonl")
@CONFIG
@click.option("--output", required=True, type=click.Path(path_type=Path), metavar="FILE.jsonl", help="File to write.")
@click.option(
    "--mode",
    type=click.Choice(get_args(Mode)),
    multiple=True,
    default=get_args(Mode),
    help="Show the image, or name its leaf. May be given repeatedly.  [default: both]",
)
@click.option(
    "--readout",
    type=click.Choice(list(ANSWERS)),
    default="letter",
    show_default=True,
    help="The --readout of the evaluation: answers are letters, or names for likelihood.",
)
@click.option("--data", metavar="DATA", help="Where the images are.  [default: what the header of QUESTIONS says]")
@click.option("--prompt", metavar="NAME|FILE", help="The words of the questions.  [default: those of hierarchy eval]")
@click.pass_context
def sft_data(
    context: click.Context,
    /,
    *,
    questions: Path,
    output: Path,
    mode: Sequence[Mode],
    readout: str,
    data: str | None,
    prompt: str | None,
) -> None:
    """Write QUESTIONS as conversations that vlmkit train lora learns: what hierarchy eval asks, and the right answer.

    Pictures that are no files are written beside, into a folder with the name of the file.
    """
    bank = Bank.open(questions)
    modes = tuple(dict.fromkeys(mode))
    images = None
    if "image" in modes:
        builder = Builder(session(context).plugins.registry)
        images = builder.dataset(dataset_spec(data or str(bank.header.get("data")), builder.registry))
    written = 0

    def lines() -> Iterator[bytes]:
        nonlocal written
        words = None if prompt is None else named_prompt(prompt)
        for one in conversations(bank, images, modes, output, readout=ANSWERS[readout], prompt=words):
            written += 1
            yield dumps(one) + b"\n"

    with disk_errors(output):
        write_atomically(output, lines())
    note(f"{written:,} conversations about {len(bank):,} images in {output}")
