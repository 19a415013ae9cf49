"""The code blocks of README and docs: all are checked, and run where that can be."""

from __future__ import annotations

import ast
import csv
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from importlib import import_module
from pathlib import Path

import pytest

from docs_blocks import PAGES, ROOT, Block, Command, blocks, commands
from docs_commands import check_command, check_usage
from docs_files import prepare
from vlmkit.prompts import Prompt
from vlmkit.registry import Builder, PluginHost


def check_python(block: Block) -> None:
    """It compiles, and what it imports of vlmkit is there."""
    for node in ast.walk(ast.parse(block.text, str(block))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OURS:
            module = import_module(node.module)
            assert [one.name for one in node.names if not hasattr(module, one.name)] == []


def check_console(block: Block) -> None:
    for command in commands(block):
        if not command.fails:
            check_command(command.text)


def check_usages(block: Block) -> None:
    for line in block.text.splitlines():
        check_usage(line)


def check_json(block: Block) -> None:
    """It is one document, or one on each line."""
    try:
        json.loads(block.text)
    except json.JSONDecodeError:
        for line in block.text.splitlines():
            json.loads(line)


def check_csv(block: Block) -> None:
    assert len({len(row) for row in csv.reader(block.text.splitlines(), strict=True)}) == 1


def check_specs(block: Block) -> None:
    builder = Builder(PluginHost.load().registry)
    for line in block.text.splitlines():
        builder.strategy(line)


CHECKS = {
    "python": check_python,
    "console": check_console,
    "usage": check_usages,
    "spec": check_specs,
    "json": check_json,
    "csv": check_csv,
    "toml": lambda block: tomllib.loads(block.text),
    "jinja": lambda block: Prompt(block.text),
    "text": lambda block: None,
}
"""How the blocks of each language are checked; ``text`` is no code."""

OURS = ("vlmkit", "vlmkit_adapters", "vlmkit_strategies", "vlmkit_glyphs", "vlmkit_hierarchy", "vlmkit_mimic")


@pytest.fixture
def hello(install_plugin, monkeypatch):
    """The tutorial's plugin, installed for this process and those that it starts."""
    source = (ROOT / "plugins" / "vlmkit-hello" / "vlmkit_hello.py").read_text(encoding="utf-8")
    monkeypatch.syspath_prepend(install_plugin("vlmkit_hello", source))


@pytest.mark.usefixtures("hello")
@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_sound(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path, (block.text for block in blocks(page)))
    for block in blocks(page):
        assert block.language in CHECKS, f"{block}: {block.language!r} is none of {', '.join(CHECKS)}"
        print(block)  # the last one shown is the one that fails
        CHECKS[block.language](block)


@pytest.mark.parametrize("page", PAGES)
def test_every_reason_belongs_to_a_block_that_would_run(page):
    reasons = (ROOT / page).read_text(encoding="utf-8").count("<!-- not run")
    kept = [block for block in blocks(page) if block.not_run]
    assert len(kept) == reasons
    assert {block.language for block in kept} <= {"python", "console"}


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_sentences_have_the_options_named(page):
    for line in re.findall(r"(?<!`)`(vlmkit [^`]*)`(?!`)", (ROOT / page).read_text(encoding="utf-8")):
        check_usage(line.replace("\n", " "))


@pytest.mark.parametrize("page", PAGES)
def test_files_named_in_sentences_are_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`(?:python )?((?:benchmarks|plugins|tests)/[\w/-]+\.\w+)", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


STAND_INS = {"Qwen/Qwen3-VL-8B-Instruct": "tiny", "models/qwen3-vl-8b": "tiny"}
"""Models that tests cannot load, and the one that is run in their place."""


def to_run(page: str) -> list[Block]:
    return [block for block in blocks(page) if block.language in ("python", "console") and block.not_run is None]


@pytest.mark.docs
@pytest.mark.usefixtures("hello")
@pytest.mark.parametrize("page", [page for page in PAGES if to_run(page)])
def test_page_runs(page, in_process, environment, tmp_path):
    Path(".venv").symlink_to(sys.prefix)
    prepare(tmp_path, (block.text for block in to_run(page)))
    names = {"__name__": "page"}
    for block in to_run(page):
        if block.language == "python":
            exec(compile(block.text, str(block), "exec"), names)
        else:
            for command in commands(block):
                run(command, in_process, environment, str(block))


def run(command: Command, in_process, environment, where: str) -> None:
    """Run a command; what it prints is what the page shows."""
    if " install " in command.text:
        return check_command(command.text)
    line = command.text
    for model, stand_in in STAND_INS.items():
        line = line.replace(model, stand_in)
    program, *arguments = shlex.split(line.replace("\\\n", " "))
    if Path(program).name == "vlmkit":
        done = in_process(*arguments)
    else:
        path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        shell = ["bash", "-c", line]
        done = subprocess.run(shell, env={**environment, "PATH": path}, capture_output=True, text=True, timeout=600)
    assert (done.returncode != 0) == command.fails, f"{where}: {line}{done.stdout}{done.stderr}"
    shown = done.stderr if command.fails else done.stdout
    same = OutputChecker().check_output(command.output, shown, ELLIPSIS | NORMALIZE_WHITESPACE)
    assert same or not command.output, f"{where}: {line}prints\n{shown}"
