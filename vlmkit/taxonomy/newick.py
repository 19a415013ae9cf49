"""Newick trees: ``((crane,heron)bird,cat)animal;``.

Branch lengths and comments are skipped. In names without quotes an underscore is a blank.

Source: https://phylipweb.github.io/phylip/newicktree.html
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator

from attrs import define, field

from vlmkit.data.text import TextFile
from vlmkit.errors import TaxonomyError
from vlmkit.taxonomy.leaves import Leaf, grown
from vlmkit.types import Taxonomy
from vlmkit.types.taxonomy import ROOT, Path

_TOKEN = re.compile(
    r"(?P<blank>\s+|\[[^\]]*\]|:\s*[^\s()\[\]':;,]+)|(?P<mark>[(),;])|'(?P<quoted>(?:[^']|'')*)'|(?P<bare>[^\s()\[\]':;,]+)"
)
_BARE = re.compile(r"[A-Za-z0-9.\-]+")


@define
class _Node:
    """A node as it is read."""

    line: int
    name: str | None = None
    children: list[_Node] = field(factory=list)


def read(path: pathlib.Path) -> Taxonomy:
    """Read a file of one tree; its outermost node is the root.

    Raises:
        TaxonomyError: The file cannot be read, is no Newick, or leaves a node without a name.
    """
    file = TextFile(path, "taxonomy file", TaxonomyError)
    root = _parsed(file)
    if not root.children and root.name:
        return grown(file, [Leaf((root.name,), f"line {root.line}")])
    leaves: list[Leaf] = []
    waiting: list[tuple[_Node, Path]] = [(root, ROOT)]
    while waiting:
        node, place = waiting.pop()
        if node.children:
            waiting.extend((child, (*place, child.name or "")) for child in reversed(node.children))
            _check_children(file, node)
        else:
            leaves.append(Leaf(place, f"line {node.line}"))
    return grown(file, leaves, root=root.name or "")


def text(taxonomy: Taxonomy) -> str:
    """Return the file's text; the leaves stand depth first, and ranks are not part of the format."""
    return f"{_written(taxonomy, ROOT, taxonomy.root)};\n"


def _written(taxonomy: Taxonomy, path: Path, name: str) -> str:
    below = [_written(taxonomy, child, child[-1]) for child in taxonomy.children(path)]
    quoted = name if not name or _BARE.fullmatch(name) else "'" + name.replace("'", "''") + "'"
    return (f"({','.join(below)})" if below else "") + quoted


def _parsed(file: TextFile) -> _Node:
    """Read up to the semicolon."""
    node = root = _Node(1)
    above: list[_Node] = []
    closed = False
    for mark, name, line in _tokens(file):
        at = f"line {line}"
        if closed:
            raise file.wrong("something follows the semicolon", at=at, hint="keep one tree in a file")
        if mark == "":
            if node.name is not None:
                raise file.wrong(
                    f"the name {name!r} follows the name {node.name!r}", at=at, hint="add a comma or quotes"
                )
            node.name, node.line = name, line
        elif mark == "(":
            if node.name is not None or node.children:
                raise file.wrong("a bracket opens where a comma is due", at=at, hint="put names behind their brackets")
            above.append(node)
            node = _Node(line)
            above[-1].children.append(node)
        elif mark == ";":
            closed = True
        elif not above:
            raise file.wrong(f"a {mark!r} stands outside of all brackets", at=at, hint="open a bracket, or drop it")
        elif mark == ",":
            node = _Node(line)
            above[-1].children.append(node)
        else:
            node = above.pop()
            node.line = line
    if above:
        raise file.wrong("a bracket opens and never closes", at=f"line {above[-1].line}", hint="close it")
    if not closed:
        raise file.wrong("no semicolon ends the tree", hint="is the file complete?")
    return root


def _tokens(file: TextFile) -> Iterator[tuple[str, str, int]]:
    """Iterate over marks and names with their lines; a name's mark is empty."""
    content, position, line = file.read(), 0, 1
    while position < len(content):
        match = _TOKEN.match(content, position)
        if match is None:
            found = content[position]
            raise file.wrong(f"a {found!r} stands alone", at=f"line {line}", hint="close the quotes or the comment")
        if match["mark"]:
            yield match["mark"], "", line
        elif match["quoted"] is not None:
            yield "", match["quoted"].replace("''", "'"), line
        elif match["bare"]:
            yield "", match["bare"].replace("_", " "), line
        line += match.group().count("\n")
        position = match.end()


def _check_children(file: TextFile, node: _Node) -> None:
    seen: dict[str, int] = {}
    for child in node.children:
        at = f"line {child.line}"
        if not child.name:
            raise file.wrong("a node has no name", at=at, hint="name every node below the root")
        if child.name in seen:
            first = seen[child.name]
            raise file.wrong(
                f"{child.name!r} stands there and in line {first} below one parent", at=at, hint="rename one"
            )
        seen[child.name] = child.line
