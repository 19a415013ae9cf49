"""Options, and kinds of option values, that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import reduce, wraps
from pathlib import Path
from typing import Any, get_args

import click
from attrs import frozen

from vlmkit.cli.cache_file import DEFAULT, ENDING, CacheFile
from vlmkit.cli.completion import names
from vlmkit.cli.config_file import read_config
from vlmkit.cli.display import Display, Kind
from vlmkit.cli.output import warning
from vlmkit.data.images import MAX_PIXELS, ImageLimits
from vlmkit.engine.models import Loading

Decorator = Callable[[Any], Any]
"""What adds options to a command."""


@frozen
class Budget:
    """How many of a run's examples may fail.

    Args:
        amount: A number of examples, or a percentage.
        percent: Whether it is a percentage.
    """

    amount: float
    percent: bool

    def __call__(self, total: int) -> float:
        """Return how many of ``total`` examples may fail."""
        return total * self.amount / 100 if self.percent else self.amount

    def __str__(self) -> str:
        return f"{self.amount:g}{'%' if self.percent else ''}"


class BudgetType(click.ParamType[Budget]):
    """Reads ``3``, ``1.5%`` or ``0.015``, which is the same as ``1.5%``."""

    name = "N|P%|FRACTION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Budget:
        """Return the budget that the text means."""
        if isinstance(value, Budget):
            return value
        match = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)%|(\d*\.\d+)", str(value).strip())
        if match is None or (match[2] and float(match[2]) > 100) or (match[3] and float(match[3]) > 1):
            self.fail(
                f"{value!r} is no number of examples, no percentage such as 1% and no fraction such as 0.01", param, ctx
            )
        if match[1]:
            return Budget(float(match[1]), percent=False)
        return Budget(float(match[2]) if match[2] else float(match[3]) * 100, percent=True)


CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=read_config,
    metavar="FILE.toml",
    help="Settings by option name; flags and environment variables (VLMKIT_*) override them.",
)
"""A file of settings."""


def _in_order(*decorators: Decorator) -> Decorator:
    return lambda command: reduce(lambda decorated, decorate: decorate(decorated), reversed(decorators), command)


def _gather_loading(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command one ``loading`` in place of its parts; the context still has them one by one."""

    @wraps(command)
    def gathered(*arguments: Any, **options: Any) -> Any:
        loading = {name: options.pop(name) for name in Loading.__annotations__}
        return command(*arguments, loading=loading, **options)

    return gathered


DATA = click.argument("data", default="glyphs", shell_complete=names("dataset", path="file"))

MODEL = click.option(
    "--model",
    default="tiny",
    show_default=True,
    shell_complete=names("adapter", path="dir"),
    help="An adapter, a model directory, or a hub id.",
)

STRATEGY = click.option(
    "--strategy",
    default="dci",
    show_default=True,
    shell_complete=names("strategy", joint="+"),
    help="What to ask (vlmkit ls strategies).",
)

WORDS = _in_order(
    click.option(
        "--labels", type=click.Path(path_type=Path), metavar="FILE", help="Labels other than the data set's own."
    ),
    click.option(
        "--taxonomy", metavar="FILE|SPEC", help="Tree whose leaves are the labels, as FILE or FORMAT:key=value."
    ),
    click.option("--prompt", metavar="NAME|FILE", help="The words of the questions."),
)

SEED = click.option("--seed", type=int, default=0, show_default=True, help="Seed of every random choice.")


def _warn_of_code(context: click.Context, option: click.Parameter, trusted: bool) -> bool:
    if trusted:
        warning("--trust-remote-code: code that comes with the model may run, with all your rights")
    return trusted


TRUST_REMOTE_CODE = click.option(
    "--trust-remote-code", is_flag=True, callback=_warn_of_code, help="Let code that comes with the model run."
)

LOADING = _in_order(
    click.option("--device", help="Device for the weights: cuda, cuda:1, cpu."),
    click.option("--dtype", help="Precision of the weights: float32, bfloat16, float16."),
    click.option("--revision", help="Branch, tag or commit of a model on the hub."),
    TRUST_REMOTE_CODE,
    click.option(
        "--lora", type=click.Path(path_type=Path), metavar="DIR", help="LoRA to merge into a local model's weights."
    ),
    click.option(
        "--base-url",
        multiple=True,
        metavar="URL[;weight=N]",
        help="Server to ask, for --model openai:...; may be given repeatedly.",
    ),
    _gather_loading,
)
"""How to load the model; the command takes all of it as ``loading``."""

FAIL_ON_ERROR = click.option(
    "--fail-on-error",
    type=BudgetType(),
    default="1%",
    show_default=True,
    help="More failed ones make the exit code 1; so many of one kind at once end the run.",
)


def _with_opener(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument ``opener``, made of the options for pictures."""

    @wraps(command)
    def opened(
        *args: Any,
        max_image_pixels: int,
        max_image_bytes: int,
        max_images: int,
        remote_images: bool,
        remote_host: Sequence[str],
        **rest: Any,
    ) -> Any:
        from vlmkit.data.opening import Opener
        from vlmkit.data.remote import Remote

        if remote_host and not remote_images:
            raise click.UsageError("--remote-host says where pictures may be fetched; add --remote-images to fetch any")
        limits = ImageLimits(max_image_pixels, max_image_bytes)
        return command(*args, opener=Opener(limits, max_images, Remote(remote_host) if remote_images else None), **rest)

    return opened


PICTURES = _in_order(
    click.option(
        "--max-image-pixels",
        type=click.IntRange(1, MAX_PIXELS),
        default=ImageLimits().pixels,
        show_default=True,
        metavar="N",
        help="Most pixels of a picture.",
    ),
    click.option(
        "--max-image-bytes",
        type=click.IntRange(min=1),
        default=ImageLimits().bytes,
        show_default=True,
        metavar="N",
        help="Most bytes of a picture's file.",
    ),
    click.option(
        "--max-images",
        type=click.IntRange(min=1),
        default=256,
        show_default=True,
        metavar="N",
        help="Most images of an example.",
    ),
    click.option("--image-root", type=click.Path(path_type=Path), metavar="DIR", help="Refuse paths that leave DIR."),
    click.option("--remote-images", is_flag=True, help="Fetch pictures from addresses that the data names."),
    click.option("--remote-host", multiple=True, metavar="HOST[:PORT]", help="Fetch from this host alone; repeatable."),
    _with_opener,
)


def _gather_display(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command one ``display`` in place of the two options."""

    @wraps(command)
    def gathered(*arguments: Any, display: Kind | None, quiet: bool, **options: Any) -> Any:
        if quiet and display not in (None, "none"):
            raise click.UsageError(f"--quiet and --display {display} exclude each other; give one of them")
        return command(*arguments, display=Display.of("none" if quiet else display), **options)

    return gathered


DISPLAY = _in_order(
    click.option(
        "--display",
        type=click.Choice(get_args(Kind)),
        help="Progress and notes: bars, lines for a log, or none.  [default: full on a terminal, else plain]",
    ),
    click.option("--quiet", is_flag=True, help="Short for --display none; warnings and failures still show."),
    _gather_display,
)
"""How much to say; the command takes it as ``display``."""

IN_FLIGHT = click.option(
    "--in-flight", type=click.IntRange(min=1), default=32, show_default=True, help="Most examples worked on at once."
)

CACHE = click.option(
    "--cache",
    is_flag=False,
    flag_value=DEFAULT,
    type=CacheFile(),
    metavar="[FILE]",
    help=f"Keep answers, and replay those of earlier runs (vlmkit cache). FILE ends in {ENDING}.",
)

ENGINE = _in_order(
    click.option("--engine", default="local", show_default=True, help="Who solves examples (vlmkit ls engines)."),
    click.option("--workers", type=click.IntRange(min=1), metavar="N", help="The engine's workers, each with a model."),
    click.option("--gpus-per-worker", type=click.FloatRange(min=0), metavar="N", help="GPUs that each worker takes."),
    click.option("--address", help="Where the engine's cluster is."),
    click.option("--devices", metavar="D,...", help="Devices of this machine, each with a process: 0,1 or cpu,cpu."),
)
