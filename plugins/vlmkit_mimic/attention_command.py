"""``vlmkit mimic attention``: how much images look at each other, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from vlmkit.cli.main import session
from vlmkit.cli.options import CONFIG, LOADING, MODEL
from vlmkit.cli.output import console, note, print_json, table
from vlmkit.contracts import Dataset
from vlmkit.engine.models import Loading
from vlmkit.errors import DataError, ModelError
from vlmkit.registry import Builder
from vlmkit.registry.source import dataset_spec

if TYPE_CHECKING:
    from vlmkit import Image
    from vlmkit_mimic.attention import Profile


@click.command()
@click.argument("data", default="glyphs")
@CONFIG
@MODEL
@click.option("--group", type=click.IntRange(min=2), metavar="N", help="Show the images of N examples together.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Most prompts.")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Draw it into a PNG, SVG or PDF."
)
@LOADING
@click.option("--json", is_flag=True, help="Print JSON.")
@click.option("--quiet", is_flag=True, help="No notes.")
@click.pass_context
def attention(
    context: click.Context,
    *,
    data: str,
    model: str,
    group: int | None,
    limit: int,
    plot: Path | None,
    loading: Loading,
    json: bool,
    quiet: bool,
) -> None:
    """Measure how much the images of a prompt look at each other in each layer of a model.

    Of what the visual tokens of the second and later images attend to among visual tokens: the share in other images,
    the share in their own, and the chance level, at which all that they see counts alike. DATA shows several images in
    an example, or --group shows those of several examples together. MODEL may be random:NAME, as for vlmkit bench.
    """
    # torch, only now: --help stays quick.
    from vlmkit.engine.models import build_backend
    from vlmkit.testing.located import resolved
    from vlmkit.tokentree import TokenTreeBackend
    from vlmkit_mimic.attention import attention_profile

    if plot is not None:
        from vlmkit.bench.plot import check_plot

        check_plot(plot)
    registry = session(context).plugins.registry
    builder = Builder(registry)
    spec = dataset_spec(data, registry)
    prompts = islice(_prompts(builder.dataset(spec), group), limit)
    with TemporaryDirectory() as folder:
        backend = build_backend(
            resolved(model, builder, Path(folder), device=loading["device"]).model,
            builder,
            **loading,
        )
        if not isinstance(backend, TokenTreeBackend):
            raise ModelError(f"the attention of {model} cannot be seen", hint="use a model on token trees (vlmkit ls)")
        with closing(backend):
            try:
                profile = attention_profile(backend, prompts)
            except ValueError as error:
                raise DataError(f"{spec}: {error}", hint="show those of several together: --group 4") from None
    title = f"{model}, {spec}"
    if plot is not None:
        from vlmkit_mimic.attention_plot import draw

        draw(profile, title, plot)
    if json:
        print_json(_plain(profile, model, str(spec), group))
        return
    rows = [
        (str(one.layer), *(f"{share:.1%}" for share in (one.inter, one.intra, one.chance, one.visual)))
        for one in profile.layers
    ]
    console().print(table(("layer", "other images", "own image", "other images, by chance", "all visual tokens"), rows))
    if not quiet:
        least, most = profile.images
        note(
            f"{title}: {profile.examples:,} prompts of {least if least == most else f'{least} to {most}'} images"
            + (f"; {profile.skipped:,} with fewer than two left out" if profile.skipped else "")
        )
        note("shares of the attention between visual tokens; the last column of all attention")
        if plot is not None:
            note(f"drawn: {plot}")


def _prompts(dataset: Dataset, group: int | None) -> Iterator[tuple[Sequence[Image], str]]:
    """Yield the images and the words of each prompt; an incomplete last group is left out."""
    from vlmkit.data.images import open_image

    shown = (([open_image(one, name=example.id) for one in example.images], example.question) for example in dataset)
    if group is None:
        yield from ((images, question or "") for images, question in shown)
        return
    while len(several := list(islice(shown, group))) == group:
        yield [image for images, _ in several for image in images], ""


def _plain(profile: Profile, model: str, data: str, group: int | None) -> dict[str, object]:
    return {
        "model": model,
        "data": data,
        "group": group,
        "prompts": profile.examples,
        "images": list(profile.images),
        "skipped": profile.skipped,
        "layers": [
            {
                "layer": one.layer,
                "inter": one.inter,
                "intra": one.intra,
                "chance": one.chance,
                "visual": one.visual,
            }
            for one in profile.layers
        ],
    }
