"""The documentation site: every page is in its navigation, and the built pages hold what the sources say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from inspect import getmembers, isclass
from pathlib import Path

import click
import pytest
import yaml
from markdown_it import MarkdownIt

import vlmkit
import vlmkit.testing
from docs_blocks import ROOT
from vlmkit import errors
from vlmkit.cli.main import cli

DOCS = ROOT / "docs"
PAGES = sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))
WRITTEN = [page for page in PAGES if not page.startswith("reference/")]

pytestmark = pytest.mark.xdist_group("site")  # one worker builds it once


def in_navigation(nav) -> Iterator[str]:
    for entry in nav:
        if isinstance(entry, str):
            yield entry
        else:
            (below,) = entry.values()
            yield from in_navigation(below) if isinstance(below, list) else [below]


def test_every_page_is_in_the_navigation_once():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert sorted(in_navigation(nav)) == PAGES


def test_every_error_has_its_cure():
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    raised = {name for name, kind in getmembers(errors, isclass) if issubclass(kind, errors.VlmkitError)}
    assert set(re.findall(r"^### (\w+)$", page, re.MULTILINE)) == raised - {"VlmkitError", "UserError"}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built as `make docs` builds it."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(target)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


def article(site: Path, page: str) -> str:
    name = page.removesuffix(".md").removesuffix("index")
    return (site / name / "index.html").read_text(encoding="utf-8").split("<article")[1].split("</article>")[0]


def command_paths(command: click.Command, context: click.Context) -> Iterator[str]:
    yield context.command_path
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            yield from command_paths(below, click.Context(below, info_name=name, parent=context))


@pytest.mark.docs
def test_reference_has_every_command(site):
    shown = re.findall(r'<h\d id="[^"]*">(vlmkit[^<]*)<', article(site, "reference/commands.md"))
    assert shown == list(dict.fromkeys(shown))
    assert set(shown) == set(command_paths(cli, click.Context(cli, info_name="vlmkit")))


@pytest.mark.docs
@pytest.mark.parametrize(("page", "module"), [("python", vlmkit), ("testing", vlmkit.testing)])
def test_reference_has_every_public_name(site, page, module):
    shown = set(re.findall(r'id="vlmkit[\w.]*\.(\w+)"', article(site, f"reference/{page}.md")))
    assert set(module.__all__) <= shown


@pytest.mark.docs
@pytest.mark.parametrize("page", WRITTEN)
def test_page_reads_as_it_does_in_the_repository(site, page):
    """The two dialects of Markdown part where a line begins like a list, or a fence has more than its language."""
    there = MarkdownIt("commonmark").enable("table").render((DOCS / page).read_text(encoding="utf-8"))
    here = article(site, page)
    for part in ("<h2", "<h3", "<p>", "<li>", "<pre", "<tr", "<em>", "<strong>"):
        assert here.count(part) == there.count(part), part


@pytest.mark.docs
def test_pages_load_nothing_from_other_hosts(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        loaded = re.findall(r'<(?:script|link|img|iframe)\b[^>]*(?:src|href)="(https?:)?//', page.read_text("utf-8"))
        assert loaded == []
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import\s*)[\"']?(https?:)?//", style.read_text("utf-8"))
