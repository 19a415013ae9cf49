"""Settings of a command from a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import click

from vlmkit.cli.several import Several
from vlmkit.data.text import TextFile
from vlmkit.errors import UnknownNameError, UserError


def _given_name(parameter: click.Parameter) -> str:
    """Return the name of an option as it is given, or of an argument."""
    return next((text[2:] for text in parameter.opts if text.startswith("--")), str(parameter.name)).replace("_", "-")


def _as_given(value: Any, parameter: click.Parameter) -> str | list[str]:
    """Return what the flag would say, so that 1.5 is no whole number in a file either.

    Raises:
        TypeError: A flag would not say that; the message says what it would.
    """
    repeatable = parameter.nargs == -1 or getattr(parameter, "multiple", False)
    several = repeatable or isinstance(parameter.type, Several)
    values = value if isinstance(value, list) and several else [value]
    if any(isinstance(one, dict | list) for one in values):
        raise TypeError("give a single value")
    switch = getattr(parameter, "is_flag", False)
    if any(isinstance(one, bool) != switch for one in values):
        raise TypeError("give true or false" if switch else "give its value")
    texts = [str(one) for one in values]
    return texts if repeatable else ",".join(texts)


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
    known = {
        _given_name(parameter): parameter
        for parameter in context.command.params
        if parameter.name not in ("config", "help")
    }
    defaults: dict[str, Any] = {}
    for key, value in settings.items():
        parameter = known.get(key.replace("_", "-"))
        if parameter is None or parameter.name is None:
            raise UnknownNameError("key", key, known, where=str(path))
        try:
            defaults[parameter.name] = _as_given(value, parameter)
        except TypeError as problem:
            raise UserError(f"key {key} in {path} holds a {type(value).__name__}", hint=str(problem)) from None
    context.default_map = {**(context.default_map or {}), **defaults}
