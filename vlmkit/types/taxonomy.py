"""Rooted trees over labels: of any depth, ragged or not, their nodes keyed by path."""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain, count
from typing import TYPE_CHECKING

from attrs import field, frozen

from vlmkit.errors import LabelError, TaxonomyError
from vlmkit.types.labels import Label, LabelSpace
from vlmkit.types.tuples import as_tuple

if TYPE_CHECKING:
    import networkx

Path = tuple[str, ...]
"""A node: the names from the first level below the root down to it; the root is ``()``."""

ROOT: Path = ()
"""The root, which has no name among the nodes."""


def _as_paths(paths: Iterable[Iterable[str]]) -> tuple[Path, ...]:
    return tuple(map(tuple, paths))


@frozen
class Taxonomy:
    """A rooted tree over labels. Depth may differ from leaf to leaf, and a name may stand in several places.

    Args:
        paths: The leaves, in the order in which their labels are shown.
        ranks: What each level is called, from the first below the root down ("family", "genus", ...), or nothing.
        root: What the root is called in files; no part of any path, and no part of what makes two taxonomies equal.

    Raises:
        TaxonomyError: There is no leaf, a name is empty, a leaf stands twice, a leaf lies on the way to another one,
            or the ranks do not fit the depth.
    """

    paths: tuple[Path, ...] = field(converter=_as_paths, repr=lambda paths: f"<{len(paths):,} leaves>")
    ranks: tuple[str, ...] = field(default=(), converter=as_tuple)
    root: str = field(default="", eq=False)

    def __attrs_post_init__(self) -> None:
        if not self.paths:
            raise TaxonomyError("a taxonomy has no leaf", hint="give at least one")
        if ROOT in self.paths:
            raise TaxonomyError("a leaf has no name", hint="give the names from the first level below the root down")
        check_names(chain(self.ranks, *self.paths))
        inner = {path[:depth] for path in self.paths for depth in range(len(path))}
        seen: set[Path] = set()
        for path in self.paths:
            if path in inner:
                raise TaxonomyError(
                    f"{_shown(path)} is a leaf and has nodes below it", hint="drop it from the leaves, or rename it"
                )
            if path in seen:
                raise TaxonomyError(f"the leaf {_shown(path)} stands twice", hint="remove one")
            seen.add(path)
        if self.ranks and len(self.ranks) != self.depth:
            raise TaxonomyError(
                f"{len(self.ranks)} ranks for {self.depth} levels below the root", hint="name every level, or none"
            )

    @cached_property
    def graph(self) -> networkx.DiGraph[Path]:
        """The tree from the root down, as networkx has it; siblings stand in the order of their first leaves."""
        import networkx as nx  # only now: listing and helping need no graph

        graph: networkx.DiGraph[Path] = nx.DiGraph()
        graph.add_node(ROOT)
        for path in self.paths:
            nx.add_path(graph, [path[:depth] for depth in range(len(path) + 1)])
        return graph

    def __contains__(self, path: object) -> bool:
        return path in self._leaves_below

    @cached_property
    def nodes(self) -> tuple[Path, ...]:
        """All nodes but the root, depth first: each before those below it, siblings in order."""
        import networkx as nx

        return tuple(nx.dfs_preorder_nodes(self.graph, ROOT))[1:]

    def children(self, path: Path) -> tuple[Path, ...]:
        """Return the nodes right below a node, in order."""
        return tuple(self.graph.successors(self._known(path)))

    def parent(self, path: Path) -> Path:
        """Return the node right above a node.

        Raises:
            TaxonomyError: It is the root.
        """
        if not self._known(path):
            raise TaxonomyError("the root has no parent", hint="ask for the parent of a node below it")
        return path[:-1]

    def ancestors(self, path: Path, *, root: bool = False) -> tuple[Path, ...]:
        """Return the nodes on the way down to a node, top down, without the node itself.

        Args:
            path: The node.
            root: Whether the root comes first.
        """
        return tuple(self._known(path)[:depth] for depth in range(0 if root else 1, len(path)))

    def is_leaf(self, path: Path) -> bool:
        """Whether nothing lies below a node."""
        return self.leaves(path) == (path,)

    def leaves(self, under: Path = ROOT) -> tuple[Path, ...]:
        """Return the leaves below a node, in order; a leaf's only leaf is itself."""
        return tuple(self._leaves_below[self._known(under)])

    @property
    def depth(self) -> int:
        """Levels below the root."""
        return self.height(ROOT)

    def height(self, path: Path) -> int:
        """Return the number of steps from a node down to its deepest leaf: 0 for a leaf."""
        return max(len(leaf) for leaf in self._leaves_below[self._known(path)]) - len(path)

    def level(self, depth: int) -> tuple[Path, ...]:
        """Return the nodes so many steps below the root, leaves among them, depth first.

        Raises:
            TaxonomyError: No node is that deep, or ``depth`` is below 1.
        """
        if not 1 <= depth <= self.depth:
            raise TaxonomyError(f"there is no level {depth}", hint=f"levels are 1 to {self.depth}")
        return self._levels[depth - 1]

    def lowest_common_ancestor(self, first: Path, second: Path) -> Path:
        """Return the deepest node on the way to both nodes; it may be one of them, or the root."""
        shared = 0
        for one, other in zip(self._known(first), self._known(second), strict=False):
            if one != other:
                break
            shared += 1
        return first[:shared]

    @cached_property
    def labels(self) -> LabelSpace:
        """The labels of the leaves, in order."""
        return LabelSpace(self._label_of[path] for path in self.paths)

    def label_of(self, path: Path) -> str:
        """Return a node's label, which no other node has: its name, with ancestors added where that is not enough.

        Leaves come first: their labels are told apart from each other alone, as in ``crane (bird)``.
        """
        return self._label_of[self._known(path)]

    def path_of(self, label: str) -> Path:
        """Return the node that has a label.

        Raises:
            TaxonomyError: None has.
        """
        if label not in self._path_of:
            raise self._no_such("node", label, self._path_of)
        return self._path_of[label]

    def leaves_of(self, labels: Iterable[Label | str]) -> tuple[Path, ...]:
        """Return the leaf of each label.

        Raises:
            TaxonomyError: A label is not that of a leaf.
        """
        names = [label.name if isinstance(label, Label) else label for label in labels]
        for name in names:
            if name not in self._leaf_of:
                raise self._no_such("leaf", name, self._leaf_of)
        return tuple(self._leaf_of[name] for name in names)

    def depth_first(self, labels: Iterable[Label]) -> list[Label]:
        """Return labels in the order in which a walk down the tree meets their leaves, kin side by side.

        Raises:
            TaxonomyError: A label is not that of a leaf.
        """
        labels = list(labels)
        order = dict(zip(labels, self.leaves_of(labels), strict=True))
        return sorted(labels, key=lambda label: self._place[order[label]])

    @property
    def digest(self) -> str:
        """SHA-256 of paths and ranks, hexadecimal."""
        lines = ["\t".join(self.ranks), *("\t".join(path) for path in self.paths)]  # no name holds a tab
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @cached_property
    def _leaves_below(self) -> Mapping[Path, Sequence[Path]]:
        below: dict[Path, list[Path]] = {}
        for path in self.paths:
            for depth in range(len(path) + 1):
                below.setdefault(path[:depth], []).append(path)
        return below

    @cached_property
    def _levels(self) -> Sequence[tuple[Path, ...]]:
        levels: list[list[Path]] = [[] for _ in range(self.depth)]
        for node in self.nodes:
            levels[len(node) - 1].append(node)
        return [tuple(level) for level in levels]

    @cached_property
    def _label_of(self) -> Mapping[Path, str]:
        leaves = distinct_labels(self.paths)
        inner = [path for path in self._leaves_below if path and path not in leaves]
        return {**leaves, **distinct_labels(inner, taken=leaves.values()), ROOT: self.root}

    @cached_property
    def _path_of(self) -> Mapping[str, Path]:
        return {label: path for path, label in self._label_of.items() if path}

    @cached_property
    def _place(self) -> Mapping[Path, int]:
        return {node: place for place, node in enumerate(self.nodes)}

    @cached_property
    def _leaf_of(self) -> Mapping[str, Path]:
        return dict(zip(self.labels.names, self.paths, strict=True))

    def _known(self, path: Path) -> Path:
        if path not in self._leaves_below:
            raise TaxonomyError(f"there is no node {_shown(path)}", hint="give the names from the first level down")
        return path

    def _no_such(self, what: str, label: str, known: Iterable[str]) -> TaxonomyError:
        near = difflib.get_close_matches(label, list(known), n=3, cutoff=0.5)
        return TaxonomyError(
            f"label {label!r} is no {what} of the taxonomy ({len(self.paths):,} leaves)",
            hint=f"did you mean {' or '.join(map(repr, near))}?" if near else "add it there, or leave it out",
        )


def check_names(names: Iterable[str]) -> None:
    """Hold names of nodes and ranks to the rules for labels.

    Raises:
        TaxonomyError: A name is empty, too long, or holds a control character.
    """
    for name in dict.fromkeys(names):
        try:
            Label(name)
        except LabelError as error:
            raise TaxonomyError(f"the name of a node or rank is no label: {error.message}", hint=error.hint) from None


def distinct_labels(paths: Sequence[Path], *, taken: Collection[str] = ()) -> dict[Path, str]:
    """Return a label for each node: its name if no other has it, else with as many ancestors as it takes.

    Ancestors stand in brackets, nearest first. Where they do not suffice, a number follows.

    Args:
        paths: Nodes, each once.
        taken: Labels that are given away already.
    """
    given: dict[Path, str] = {}
    used = set(taken)
    waiting = list(paths)
    for ancestors in range(max(map(len, paths), default=0)):
        tried = {path: _with_ancestors(path, ancestors) for path in waiting}
        times = Counter(tried.values())
        fine = {path: label for path, label in tried.items() if times[label] == 1 and label not in used}
        given |= fine
        used.update(fine.values())
        waiting = [path for path in waiting if path not in fine]
    for path in waiting:
        full = _with_ancestors(path, len(path))
        numbered = (f"{full} [{number}]" for number in count(2))
        given[path] = next(label for label in chain([full], numbered) if label not in used)
        used.add(given[path])
    return {path: given[path] for path in paths}


def _with_ancestors(path: Path, number: int) -> str:
    above = path[:-1][::-1][:number]
    return f"{path[-1]} ({', '.join(above)})" if above else path[-1]


def _shown(path: Path) -> str:
    return " > ".join(path) or "()"
