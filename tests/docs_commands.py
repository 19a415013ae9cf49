"""Checks command lines of the docs as far as that goes without running them."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import pytest

from docs_blocks import ROOT
from vlmkit.cli.main import cli, session
from vlmkit.registry import Builder, Chain, Spec
from vlmkit.registry.source import dataset_spec

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = re.findall(r"^(\S+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

OUR_FOLDERS = ("benchmarks", "docs", "plugins", "tests")


def check_command(line: str) -> None:
    """Check a command that is not run: vlmkit's as the command line would read it, others by the files they name."""
    words = shlex.split(line.replace("\\\n", " "), comments=True)
    while re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    program, *arguments = words
    match Path(program).name:
        case "vlmkit":
            check_vlmkit(arguments)
        case "make":
            assert set(arguments) <= set(TARGETS), f"no such target: {line}"
        case "pip":
            extras = re.findall(r"vlmkit\[([^]]*)\]", line)
            assert {extra for group in extras for extra in group.split(",")} <= set(PROJECT["optional-dependencies"])
        case "python" | "transformers" | "ls" | "printf" | "source":
            pass
        case _:
            raise AssertionError(f"{program}: tests/docs_commands.py does not know how to check it")
    ours = [word for word in arguments if word.split("/")[0] in OUR_FOLDERS]
    assert all((ROOT / word).exists() for word in ours), f"no such file: {line}"


def check_vlmkit(arguments: Sequence[str]) -> None:
    """Let click read the arguments as it does in a real call, and build or look up the specs among them.

    Files need not exist.
    """
    reached: list[click.Context] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(click.Path, "convert", lambda self, value, *_: self.coerce_path_result(os.fspath(value)))
        patch.setattr(click.Command, "invoke", lambda self, context: reached.append(context))
        cli.main(list(arguments), prog_name="vlmkit", standalone_mode=False)
    builder = Builder(session(reached[0]).plugins.registry)
    values = reached[-1].params
    given = values.get("strategy") or values.get("strategies") or ()
    for strategies in [given] if isinstance(given, str) else given:
        for strategy in Chain.parse_several(strategies):
            builder.strategy(str(strategy))
    _check_options("adapter", values.get("model"), Spec.parse, builder)
    _check_options("dataset", values.get("data"), lambda text: dataset_spec(text, builder.registry), builder)


def _check_options(kind: str, value: object, parse: Callable[[str], Spec], builder: Builder) -> None:
    known = {entry.name: entry for entry in builder.registry.entries(kind)}
    if isinstance(value, str) and value.partition(":")[0] in known:
        spec = parse(value)
        wrong = {key for key, _ in spec.options} - set(builder.options(known[spec.name]))
        assert not wrong, f"{kind} {spec.name} has no option {', '.join(wrong)}"


def check_usage(line: str) -> None:
    """Check a line such as ``vlmkit run [DATA] [--json]``: the command is there and has the options named."""
    words = re.findall(r"[^\s\[\]|]+", line)
    context = click.Context(cli, info_name=words.pop(0))
    while words and isinstance(context.command, click.Group):
        command = context.command.get_command(context, words[0])
        if command is None:
            assert not re.fullmatch(r"[a-z][a-z-]*", words[0]), f"no such command: {line}"
            break
        context = click.Context(command, info_name=words.pop(0), parent=context)
    wrong = {word.partition("=")[0] for word in words if word.startswith("--")} - set(_options(context))
    assert not wrong, f"no option {', '.join(wrong)}: {line}"


def _options(context: click.Context) -> Iterator[str]:
    for parameter in (*context.command.get_params(context), *context.find_root().command.params):
        yield from (*parameter.opts, *parameter.secondary_opts)
