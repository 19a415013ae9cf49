"""The page on hooks shows every signature as it stands in the code."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

from docs_blocks import blocks
from vlmkit.registry import KINDS, Registry, hooks
from vlmkit.scaffold import Distribution

ROOT = Path(__file__).parents[1]


def signatures(source: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            assert node.returns is not None
            yield node.name, f"({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}"


def test_hooks_and_registry_are_documented_with_their_exact_signatures():
    shown = dict(pair for block in blocks("docs/plugins/hooks.md") for pair in signatures(block.text))
    of_hooks = {name: one for name, one in signatures(inspect.getsource(hooks)) if name.startswith("vlmkit_")}
    of_registry = {name: one for name, one in signatures(inspect.getsource(Registry)) if name in KINDS}
    assert len(of_hooks) == 5 and len(of_registry) == len(KINDS)
    assert shown == of_hooks | of_registry


def test_every_hook_has_a_heading():
    page = (ROOT / "docs" / "plugins" / "hooks.md").read_text(encoding="utf-8")
    for name in vars(hooks):
        if name.startswith("vlmkit_"):
            assert f"## `{name}`" in page


def statements(text: str) -> set[str]:
    """Return the code of a module piece by piece, without imports and docstrings."""
    return {ast.unparse(node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.For | ast.Return)}


def test_pages_of_kinds_show_the_code_that_is_written():
    for kind in ("aggregator", "dataset"):
        written = Distribution("approval", kind).files()[f"vlmkit_approval/{kind}.py"]
        shown = statements(blocks(f"docs/plugins/{kind}s.md")[0].text)
        assert len(shown & statements(written)) >= 2
