"""The code blocks of README and docs: what each one is, and why some are not run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from attrs import evolve, frozen
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", *sorted(page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").rglob("*.md")))

NOT_RUN = re.compile(r"<!-- not run: (\S.*) -->", re.DOTALL)


@frozen
class Block:
    """A fenced block, or several of Python whose code goes on from one to the next.

    Args:
        page: The page, relative to the repository.
        line: Line of the fence, from 1.
        language: First word behind the fence.
        text: What stands in the block.
        not_run: Why it is not run, or None if it is.
    """

    page: str
    line: int
    language: str
    text: str
    not_run: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@frozen
class Command:
    """A line behind ``$``, and the lines below it that it prints; ``...`` in them stands for anything."""

    text: str
    output: str

    @property
    def fails(self) -> bool:
        """Whether the page shows an error."""
        return re.search("^error: ", self.output, re.MULTILINE) is not None


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page in order; one that begins indented goes on with the Python above it."""
    found: list[Block] = []
    for block in _fences(page):
        if block.language == "python" and block.text.startswith(" "):
            above = max(index for index, one in enumerate(found) if one.language == "python")
            found[above] = evolve(found[above], text=found[above].text + block.text)
        else:
            found.append(block)
    return found


def _fences(page: str) -> Iterator[Block]:
    above = None
    for token in MarkdownIt().parse((ROOT / page).read_text(encoding="utf-8")):
        if token.type in ("fence", "code_block"):
            language = {"py": "python"}.get(word := token.info.partition(" ")[0], word)
            yield Block(page, token.map[0] + 1, language, token.content, above and above[1])
        above = NOT_RUN.fullmatch(token.content.strip()) if token.type == "html_block" else None


def commands(block: Block) -> list[Command]:
    """Return the commands of a ``console`` block."""
    found: list[Command] = []
    going_on = False
    for line in block.text.splitlines(keepends=True):
        if line.startswith("$ ") and not going_on:
            found.append(Command(line[2:], ""))
        elif going_on:
            found[-1] = evolve(found[-1], text=found[-1].text + line)
        else:
            assert found, f"{block}: the first line of a console block begins with '$ '"
            found[-1] = evolve(found[-1], output=found[-1].output + line)
        going_on = line.endswith("\\\n") and not found[-1].output
    return found
