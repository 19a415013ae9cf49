"""``vlmkit parity``: are a model's scores here those of plain full forwards?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from attrs import asdict

from vlmkit.cli.main import session
from vlmkit.cli.options import CONFIG
from vlmkit.cli.output import console, note, print_json, show, table, write_text
from vlmkit.registry import Builder

_PAGE = """# Parity

A score that vlmkit reads off a model equals that of plain full forwards through transformers, one option at a time.
This page is written by the command that checks it:

<!-- not run: takes minutes -->
```console
$ {command}
```

{setting}.

{summary}

A cell holds the largest difference between two log-probabilities, in nats, and how many of the questions got the same
choice; `OFF` marks what is not within the tolerance. A dash stands where model or backend do not know the situation:
few models have a sliding window. A model type is a small random model of that architecture with its true processor; the
pictures are PNG and JPEG files.

`vlmkit parity DIRECTORY` does the same with a checkpoint of yours. [Token trees](token-trees.md) tells how scores are
made and why lower precision has other tolerances.
"""


@click.command()
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@CONFIG
@click.option("--device", help="Device of both sides: cuda, cuda:1, cpu.")
@click.option("--dtype", default="float32", show_default=True, help="Precision: float32, bfloat16, float16.")
@click.option("--plain-dtype", help="Precision of the plain side.  [default: the same]")
@click.option("--tolerance", type=click.FloatRange(min=0), metavar="NATS", help="Largest difference that passes.")
@click.option("--json", is_flag=True, help="Print JSON.")
@click.option("--markdown", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write a page, too.")
@click.pass_context
def parity(
    context: click.Context,
    models: Sequence[str],
    device: str | None,
    dtype: str,
    plain_dtype: str | None,
    tolerance: float | None,
    json: bool,
    markdown: Path | None,
) -> None:
    """Compare scores with plain full forwards through transformers.

    MODEL is an adapter, a model directory or a hub id, or else a model type such as qwen3_vl for a small random model.
    By default it is every type that can be made, and tiny. The exit code is 1 if a score is not within the tolerance.
    """
    from vlmkit.testing.parity import READOUTS, measure, model_names, tolerance_of
    from vlmkit.testing.parity_page import lines, setting, summary, tables

    tolerance = tolerance_of(dtype) if tolerance is None else tolerance
    builder = Builder(session(context).plugins.registry)
    found = []
    for model in models or model_names():
        note(f"comparing {model}")
        found += measure(model, builder, device=device, dtype=dtype, tolerance=tolerance, plain_dtype=plain_dtype)
    said = summary(found, dtype, tolerance)
    if json:
        results = [asdict(one) for one in found]
        print_json({"setting": setting(device), "dtype": dtype, "tolerance": tolerance, "results": results})
    else:
        console().print(table(("model", "situation", *READOUTS), lines(found)))
        show(said)
    if markdown is not None:
        command = " ".join(["vlmkit", *sys.argv[1:]])
        page = _PAGE.format(command=command, setting=setting(device), summary=said)
        write_text(markdown, page + "".join(f"\n## {each.readout}\n\n{each.markdown}\n" for each in tables(found)))
    if not all(one.within for one in found):
        context.exit(1)
