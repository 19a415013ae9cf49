"""A taxonomy level by level: what its nodes are called where only one level is in question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from attrs import frozen

from vlmkit import Taxonomy

Path = tuple[str, ...]
"""A node, as ``Taxonomy`` has it."""


@frozen(slots=False)
class LevelNames:
    """Names of the nodes of each level, distinct within the level.

    A level shows its nodes' own names. If one of them stands twice there, it shows their labels in the taxonomy
    ("crane (bird)") throughout.

    Args:
        taxonomy: The tree.
    """

    taxonomy: Taxonomy

    @cached_property
    def levels(self) -> tuple[Mapping[Path, str], ...]:
        """The nodes of each level in order, with their names; the first level is the one below the root."""
        return tuple(self._level(depth) for depth in range(1, self.taxonomy.depth + 1))

    def path(self, node: Path) -> tuple[str, ...]:
        """Return the way down to a node in these names."""
        return tuple(self.levels[depth - 1][node[:depth]] for depth in range(1, len(node) + 1))

    def graded(self, target: Path) -> tuple[str | None, ...]:
        """Return the right names for a target; below an inner node, which leaves them open, the levels are ungraded."""
        below = self.taxonomy.height(target)
        return (*self.path(target), *[None] * below)

    def names_of(self, answers: Sequence[str], target: Path) -> tuple[str | None, ...]:
        """Return the nodes' own names, level by level, in these names; None for one that no node of the level has.

        Where several nodes of a level have the name, the target's ancestor is meant, if it is one of them.
        """
        found: list[str | None] = []
        for depth, (answer, level) in enumerate(zip(answers, self.levels, strict=False), start=1):
            meant = {node: name for node, name in level.items() if node[-1] == answer}
            found.append(meant.get(target[:depth], next(iter(meant.values()), None)))
        return tuple(found)

    def _level(self, depth: int) -> Mapping[Path, str]:
        nodes = self.taxonomy.level(depth)
        names = [node[-1] for node in nodes]
        if len(set(names)) < len(names):
            names = [self.taxonomy.label_of(node) for node in nodes]
        return dict(zip(nodes, names, strict=True))
