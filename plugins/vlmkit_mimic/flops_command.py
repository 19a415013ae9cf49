"""``vlmkit mimic flops``: what masks and fewer visual tokens save, and of what."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import attrs
import click

from vlmkit import Mask
from vlmkit.cli.main import session
from vlmkit.cli.options import MODEL
from vlmkit.cli.output import console, note, print_json, table
from vlmkit.errors import ModelError
from vlmkit.registry import Builder

if TYPE_CHECKING:
    from vlmkit.measures.flops import TextShape
    from vlmkit_mimic.costs import Costs

_COUNT = click.IntRange(min=1)
_GIGA = 1e9


@click.command()
@MODEL
@click.option("--images", type=_COUNT, default=4, show_default=True, help="Images of the prompt.")
@click.option("--tokens-per-image", type=_COUNT, default=729, show_default=True, help="Visual tokens of each.")
@click.option("--before", type=click.IntRange(min=0), default=20, show_default=True, help="Tokens before the images.")
@click.option("--after", type=click.IntRange(min=0), default=60, show_default=True, help="Tokens after the images.")
@click.option("--layers", default="deep", show_default=True, help="Masked layers: deep, all, none, 12-23, 0,3,5-7.")
@click.option("--text/--no-text", default=True, show_default=True, help="Whether images see the text before them.")
@click.option("--factor", type=_COUNT, default=4, show_default=True, help="Visual tokens that pooling makes one of.")
@click.option("--by-layer", is_flag=True, help="Show every layer.")
@click.option("--json", is_flag=True, help="Print JSON, every layer included.")
@click.pass_context
def flops(
    context: click.Context,
    *,
    model: str,
    images: int,
    tokens_per_image: int,
    before: int,
    after: int,
    layers: str,
    text: bool,
    factor: int,
    by_layer: bool,
    json: bool,
) -> None:
    """Count what the language model computes of a prompt of several images, from its configuration alone.

    Every saving stands beside what it is a share of: a share of attention is none of the model. MODEL may be
    random:NAME, as for vlmkit bench.
    """
    from vlmkit_mimic.costs import PLAIN, Costs, Layout

    prompt = Layout(images, tokens_per_image, before, after)
    costs = Costs.of(_shape(model, Builder(session(context).plugins.registry)), prompt, Mask(layers, text), factor)
    ways = [way for way in costs.layers if way != PLAIN]
    if json:
        asked = {name: context.params[name] for name in ("model", "layers", "text", "factor")}
        print_json(
            {
                **asked,
                "prompt": attrs.asdict(prompt),
                "tokens": len(prompt),
                "masked_layers": sorted(costs.masked),
                "flops": {way: costs.sums(way) for way in costs.layers},
                "saved": {way: _saved(costs, way) for way in ways},
                "by_layer": {way: [attrs.asdict(one) for one in each] for way, each in costs.layers.items()},
            }
        )
        return
    plain, saved = costs.sums(PLAIN), {way: _saved(costs, way) for way in ways}
    rows = [
        (part, f"{whole / _GIGA:,.2f}", *(f"{saved[way][part]:.1%}" for way in ways)) for part, whole in plain.items()
    ]
    console().print(table(("GFLOPs of", "plain", *(f"saved: {way}" for way in ways)), rows))
    if by_layer:
        console().print(table(("layer", "way", "attention", "projections", "feed-forward", "all"), _rows(costs)))
    note(
        f"{model}, {len(prompt):,} tokens: {images} images of {tokens_per_image}, text of {before} before and {after} "
        f"after; {len(costs.masked)} of {len(costs.layers[PLAIN])} layers masked; {factor} visual tokens made one"
    )
    note("pairs of tokens that see each other are counted; kernels given a dense mask compute the hidden ones as well")
    note("vision tower, logits and windows of layers are left out")


def _saved(costs: Costs, way: str) -> dict[str, float]:
    from vlmkit_mimic.costs import PLAIN

    sums = costs.sums(way)
    return {part: 1 - sums[part] / whole for part, whole in costs.sums(PLAIN).items()}


def _rows(costs: Costs) -> list[tuple[str, ...]]:
    return [
        (
            f"{layer}{' (masked)' if layer in costs.masked else ''}",
            way,
            *(f"{value / _GIGA:,.2f}" for value in (one.attention, one.projections, one.feed_forward, one.total)),
        )
        for layer in range(len(next(iter(costs.layers.values()))))
        for way, one in ((way, each[layer]) for way, each in costs.layers.items())
    ]


def _shape(model: str, builder: Builder) -> TextShape:
    """Return the language model in numbers.

    Raises:
        ModelError: It is not known, or images are no part of its sequence.
    """
    from vlmkit.measures.flops import TextShape

    shape = TextShape.of(_text_config(model, builder))
    if shape is None:
        raise ModelError(f"there is no formula for the language model of {model}", hint="give another model")
    if any(layer.state for layer in shape.layers):
        raise ModelError(f"the images of {model} are no part of its sequence", hint="give another model")
    return shape


def _text_config(model: str, builder: Builder) -> dict[str, Any]:
    from transformers import AutoConfig

    from vlmkit.testing.located import RANDOM, located
    from vlmkit.testing.models import SIZES

    name = model.removeprefix(RANDOM)
    if name != model and name in SIZES:  # of which no weights are needed
        size = SIZES[name]
        return {"model_type": "qwen3_vl_text", "vocab_size": size.vocabulary, **size.text}
    with TemporaryDirectory() as folder:
        source = located(model, builder, Path(folder)).checkpoint
        try:
            config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        except (OSError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise ModelError(f"the config.json of {model} cannot be read: {reason}", hint="check the name") from error
    found: dict[str, Any] = config.get_text_config().to_dict()
    return found
