"""``vlmkit hierarchy questions``: write a question bank."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

import click

from vlmkit.cli.main import session
from vlmkit.cli.options import CONFIG, SEED
from vlmkit.cli.output import note
from vlmkit.errors import UserError
from vlmkit.registry import Builder
from vlmkit.registry.source import dataset_spec
from vlmkit_hierarchy.distractors import Places
from vlmkit_hierarchy.generate import write_bank
from vlmkit_hierarchy.levels import LevelNames
from vlmkit_hierarchy.sources import TEMPLATE, by_chance, by_embedder, by_matrix
from vlmkit_hierarchy.taxonomies import TAXONOMY, taxonomy_of

KINDS = ("random", "sibling", "text-similar", "image-similar")


@click.command()
@click.argument("data", default="glyphs")
@CONFIG
@TAXONOMY
@click.option("--distractors", type=click.Choice(KINDS), default="random", show_default=True, help="The wrong options.")
@click.option(
    "--embedder",
    type=click.Path(path_type=Path),
    metavar="MODEL",
    help="Directory or hub id of a SigLIP or CLIP model that says what is alike, for the two similar kinds.",
)
@click.option("--template", default=TEMPLATE, show_default=True, help="What the embedder reads names in.")
@click.option(
    "--similarity",
    type=click.Path(path_type=Path),
    metavar="FILE.npy",
    help="Matrix that says it instead: a row for each node or each image, a column for each node, level by level.",
)
@click.option("--device", help="Device for the embedder: cuda, cuda:1, cpu.")
@click.option("--output", required=True, type=click.Path(path_type=Path), metavar="FILE.jsonl", help="File to write.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N images.")
@SEED
@click.pass_context
def questions(
    context: click.Context,
    *,
    data: str,
    taxonomy: str | None,
    distractors: str,
    embedder: Path | None,
    template: str,
    similarity: Path | None,
    device: str | None,
    output: Path,
    limit: int | None,
    seed: int,
) -> None:
    """Write four-choice questions about DATA: one for each image and level, with wrong options from the same level.

    DATA is a folder, a manifest or a data set, as for vlmkit run; its targets are labels of the taxonomy. The same
    options and seed write the same bytes.
    """
    similar = distractors.endswith("similar")
    if similar and (embedder is None) == (similarity is None):
        raise UserError(f"{distractors} distractors need one measure", hint="give --embedder or --similarity")
    if not similar and (embedder or similarity):
        raise UserError(f"{distractors} distractors look at no likeness", hint="leave out --embedder and --similarity")
    builder = Builder(session(context).plugins.registry)
    spec = dataset_spec(data, builder.registry)
    dataset = builder.dataset(spec)
    places = Places(LevelNames(taxonomy_of(dataset, taxonomy, builder)))
    examples, rng = islice(dataset, limit), random.Random(seed)
    if embedder is not None:
        source = by_embedder(distractors, examples, places, embedder, template=template, device=device)
    elif similarity is not None:
        source = by_matrix(distractors, examples, len(dataset), places, similarity)
    else:
        source = by_chance(distractors, examples, places, rng)
    written = write_bank(output, source, places, data=str(spec), seed=seed, rng=rng)
    note(f"{written.questions:,} questions about {written.images:,} images in {output}")
