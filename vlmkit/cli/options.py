"""Options, and kinds of option values, that several commands share."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from functools import reduce, wraps
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from vlmkit.data.text import TextFile
from vlmkit.engine.models import Loading
from vlmkit.errors import UnknownNameError, UserError

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
    """Reads ``3`` or ``1.5%``."""

    name = "N or P%"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Budget:
        """Return the budget that the text means."""
        if isinstance(value, Budget):
            return value
        match = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)%", str(value).strip())
        if match is None or (match[2] and float(match[2]) > 100):
            self.fail(f"{value!r} is neither a number of examples nor a percentage such as 1%", param, ctx)
        return Budget(float(match[1] or match[2]), percent=match[1] is None)


class Several(click.ParamType[Sequence[Any]]):
    """Reads values of one type, joined by commas.

    Args:
        one: The type of each.
    """

    name = "list"

    def __init__(self, one: click.ParamType[Any]) -> None:
        self.one = one

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Sequence[Any]:
        """Return the values, each once."""
        return tuple(dict.fromkeys(self.one.convert(part.strip(), param, ctx) for part in str(value).split(",")))


def read_config(context: click.Context, _: click.Parameter, path: Path | None) -> None:
    """Make the settings of a TOML file the defaults of the command; flags and environment override them.

    Raises:
        UserError: The file cannot be read, or holds something that is no option of the command.
    """
    if path is None:
        return
    file = TextFile(path, "config file", UserError)
    try:
        settings = tomllib.loads(file.read())
    except tomllib.TOMLDecodeError as problem:
        raise file.wrong(f"broken TOML ({problem})", hint="mend it there") from None
    known = [
        parameter.name
        for parameter in context.command.params
        if parameter.name is not None and parameter.name not in ("config", "help")
    ]
    repeatable = [
        option.name for option in context.command.params if isinstance(option, click.Option) and option.multiple
    ]
    defaults: dict[str, Any] = {}
    for key, value in settings.items():
        name = key.replace("-", "_")
        if name not in known:
            raise UnknownNameError("key", key, (name.replace("_", "-") for name in known), where=str(path))
        several = isinstance(value, list) and name in repeatable
        if not several and isinstance(value, dict | list):
            raise UserError(f"key {key} in {path} holds a {type(value).__name__}", hint="give a single value")
        # What the flag would say, so that 1.5 is no whole number here either.
        texts = [str(one) for one in (value if several else [value])]
        defaults[name] = texts if name in repeatable else texts[0]
    context.default_map = {**(context.default_map or {}), **defaults}


def config_option(variables: str) -> Decorator:
    """Return the option for a file of settings.

    Args:
        variables: Environment variables that override it, for the help.
    """
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=read_config,
        metavar="FILE.toml",
        help=f"Settings by option name; flags and {variables} override them.",
    )


def _in_order(*decorators: Decorator) -> Decorator:
    return lambda command: reduce(lambda decorated, decorate: decorate(decorated), reversed(decorators), command)


def _gather_loading(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command one ``loading`` in place of its parts; the context still has them one by one."""

    @wraps(command)
    def gathered(*arguments: Any, **options: Any) -> Any:
        loading = {name: options.pop(name) for name in Loading.__annotations__}
        return command(*arguments, loading=loading, **options)

    return gathered


DATA = click.argument("data", default="glyphs")

MODEL = click.option("--model", default="tiny", show_default=True, help="An adapter, a model directory, or a hub id.")

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

LOADING = _in_order(
    click.option("--device", help="Device for the weights: cuda, cuda:1, cpu."),
    click.option("--dtype", help="Precision of the weights: float32, bfloat16, float16."),
    click.option("--revision", help="Branch, tag or commit of a model on the hub."),
    click.option("--trust-remote-code", is_flag=True, help="Let code that comes with the model run."),
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

IN_FLIGHT = click.option(
    "--in-flight", type=click.IntRange(min=1), default=32, show_default=True, help="Most examples worked on at once."
)

ENGINE = _in_order(
    click.option("--engine", default="local", show_default=True, help="Who solves examples (vlmkit ls engines)."),
    click.option("--workers", type=click.IntRange(min=1), metavar="N", help="The engine's workers, each with a model."),
    click.option("--gpus-per-worker", type=click.FloatRange(min=0), metavar="N", help="GPUs that each worker takes."),
    click.option("--address", help="Where the engine's cluster is."),
    click.option("--devices", metavar="D,...", help="Devices of this machine, each with a process: 0,1 or cpu,cpu."),
)
