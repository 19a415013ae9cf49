"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """Return a table.

    Args:
        head: The heads of the columns.
        rows: The cells.
        words: How many columns from the left hold words; the others hold numbers, flush right.
    """
    rule = ["---"] * words + ["--:"] * (len(head) - words)
    return "\n".join(map(_line, (head, rule, *rows)))


def _line(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
