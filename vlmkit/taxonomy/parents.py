"""CSV of nodes with their parents: columns ``id``, ``parent`` and, if ids are no names, ``name``."""

from __future__ import annotations

import pathlib
from graphlib import CycleError, TopologicalSorter

from attrs import frozen

from vlmkit.data.text import TextFile
from vlmkit.errors import TaxonomyError
from vlmkit.taxonomy.leaves import Leaf, uprooted
from vlmkit.types import Taxonomy
from vlmkit.types.taxonomy import Path


@frozen
class _Node:
    """One row."""

    name: str
    parent: str
    at: str


def read(path: pathlib.Path) -> Taxonomy:
    """Read a file; a node without a parent that all others lie below is the root.

    Raises:
        TaxonomyError: The file cannot be read, a node has two parents, lies below itself or has none of the rows as
            its parent, or two siblings have one name.
    """
    file = TextFile(path, "taxonomy file", TaxonomyError)
    nodes = _nodes(file)
    paths: dict[str, Path] = {}
    places: dict[Path, str] = {}
    for id in _top_down(file, nodes):
        node = nodes[id]
        place = (*(paths[node.parent] if node.parent else ()), node.name)
        if place in places:
            raise file.wrong(
                f"{node.name!r} stands there and in {places[place]} below one parent", at=node.at, hint="rename one"
            )
        paths[id], places[place] = place, node.at
    parents = {node.parent for node in nodes.values()}
    return uprooted(file, [Leaf(paths[id], node.at) for id, node in nodes.items() if id not in parents])


def _nodes(file: TextFile) -> dict[str, _Node]:
    nodes: dict[str, _Node] = {}
    for line, row in file.rows(one_of=("parent",)):
        at = f"line {line}"
        if "id" not in row:
            raise file.wrong("the node has no id", at=at, hint="fill in the column id")
        id, node = row["id"], _Node(row.get("name", row["id"]), row.get("parent", ""), at)
        if id in nodes:
            first = nodes[id]
            if first.parent == node.parent:
                raise file.wrong(f"the node {id!r} stands there and in {first.at}", at=at, hint="remove one")
            raise file.wrong(
                f"the node {id!r} has the parent {node.parent!r} there and {first.parent!r} in {first.at}",
                at=at,
                hint="a tree has one parent for each node; keep one, or give the second place an id of its own",
            )
        nodes[id] = node
    for node in nodes.values():
        if node.parent and node.parent not in nodes:
            raise file.wrong(f"the parent {node.parent!r} has no row", at=node.at, hint="add it, or leave parent empty")
    return nodes


def _top_down(file: TextFile, nodes: dict[str, _Node]) -> tuple[str, ...]:
    try:
        return tuple(TopologicalSorter({id: [node.parent] for id, node in nodes.items() if node.parent}).static_order())
    except CycleError as error:
        cycle: list[str] = error.args[1]
        raise file.wrong(
            f"the node {cycle[0]!r} lies below itself: {' > '.join(cycle)}",
            at=nodes[cycle[0]].at,
            hint="mend one of the parents",
        ) from None
