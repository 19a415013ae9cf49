"""``vlmkit glyphs``: draw glyphs into a folder, train the embedded model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import click

from vlmkit.cli.main import session
from vlmkit.cli.options import CONFIG
from vlmkit.errors import DataError
from vlmkit.registry import Builder
from vlmkit.registry.source import dataset_spec
from vlmkit_glyphs.training.recipe import Recipe


@click.group()
def glyphs() -> None:
    """Drawn glyphs, and the training of the embedded model."""


@glyphs.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--labels", default=100, show_default=True, help="Number of labels, 2 to 1,000.")
@click.option("--images", default=50, show_default=True, help="Number of pictures.")
@click.option("--seed", default=0, show_default=True, help="Seed of labels, targets and pictures.")
@click.option(
    "--format",
    "file_format",
    envvar="VLMKIT_GLYPHS_DRAW_FORMAT",
    type=click.Choice(["png", "jpeg", "webp"]),
    default="png",
    show_default=True,
)
def draw(directory: Path, labels: int, images: int, seed: int, file_format: str) -> None:
    """Draw pictures of glyphs into DIRECTORY.

    A picture lies in the sub-folder that has the name of its label. DIRECTORY/labels.txt lists all labels, also those
    without a picture: vlmkit run DIRECTORY --labels DIRECTORY/labels.txt
    """
    import PIL.Image

    from vlmkit_glyphs.dataset import Glyphs

    data = Glyphs(labels=labels, images=images, seed=seed)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "labels.txt").write_text("".join(f"{name}\n" for name in data.labels.names), encoding="utf-8")
        for example in data:
            (picture,) = example.images
            assert example.target is not None and isinstance(picture, PIL.Image.Image)
            path = directory / example.target / f"{Path(example.id).stem}.{file_format}"
            path.parent.mkdir(exist_ok=True)
            picture.save(path, quality=95)
    except OSError as error:
        raise DataError(f"{directory} cannot be written ({error.strerror})", hint="give another directory") from error
    click.echo(f"{len(data):,} pictures of {len(data.labels):,} labels in {directory}")


def _recipe_options(command: Callable[..., None]) -> Callable[..., None]:
    for item in reversed(attrs.fields(Recipe)):
        option: Any = click.option(
            f"--{item.name.replace('_', '-')}",
            type=type(item.default),
            default=item.default,
            show_default=True,
            help=item.metadata["help"],
        )
        command = option(command)
    return command


@glyphs.command()
@CONFIG
@click.option(
    "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Model directory to write."
)
@click.option(
    "--start",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Model directory of an earlier training, to go on from.",
)
@click.option(
    "--questions",
    "specs",
    envvar="VLMKIT_GLYPHS_TRAIN_QUESTIONS",
    multiple=True,
    metavar="DATA",
    help="Train on the questions of this data set, too; may be repeated.",
)
@click.option("--device", help="Torch device.  [default: cuda where there is one, else cpu]")
@click.option("--limit-minutes", type=click.FloatRange(min=0, min_open=True), help="Finish training within that time.")
@_recipe_options
@click.pass_context
def train(
    context: click.Context,
    /,
    output: Path,
    start: Path | None,
    specs: tuple[str, ...],
    device: str | None,
    limit_minutes: float | None,
    **numbers: Any,
) -> None:
    """Train the embedded model and write it as a Hugging Face model directory.

    The same command goes on with a training that was cut off.
    """
    try:
        recipe = Recipe(**numbers)
    except ValueError as error:
        raise click.UsageError(str(error.args[0])) from None
    from vlmkit_glyphs.training.train import train as run

    registry = session(context).plugins.registry
    builder = Builder(registry)
    run(
        recipe,
        output,
        start=start,
        questions={spec: builder.dataset(dataset_spec(spec, registry)) for spec in specs},
        device=device,
        limit_minutes=limit_minutes,
        report=lambda line: click.echo(line, err=True),
    )
