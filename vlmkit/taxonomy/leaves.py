"""From leaves as a file has them to a taxonomy, with errors that name the place; and the rule on roots."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from vlmkit.data.text import TextFile
from vlmkit.errors import TaxonomyError
from vlmkit.types import Taxonomy
from vlmkit.types.taxonomy import Path, check_names

NO_ROOT = "root"
"""What writers call a root that has no name, where readers would take the first level for it."""


@frozen
class Leaf:
    """A leaf in a file.

    Args:
        path: Names from the top down.
        at: Where it stands, such as "line 3".
    """

    path: Path
    at: str


def grown(file: TextFile, leaves: Sequence[Leaf], *, ranks: Sequence[str] = (), root: str = "") -> Taxonomy:
    """Return the taxonomy over some leaves.

    Raises:
        TaxonomyError: They form no tree; the file and the place in it are named.
    """
    if not leaves:
        raise file.wrong("it holds no leaf", hint="see docs/taxonomies.md")
    places: dict[Path, str] = {}
    sound: set[str] = set()
    for leaf in leaves:
        try:
            check_names(name for name in leaf.path if name not in sound)
            sound.update(leaf.path)
        except TaxonomyError as error:
            raise file.wrong(error.message, at=leaf.at, hint=error.hint) from None
        if leaf.path in places:
            raise file.wrong(
                f"the leaf {_shown(leaf.path)} stands there and in {places[leaf.path]}", at=leaf.at, hint="remove one"
            )
        places[leaf.path] = leaf.at
    for leaf in leaves:
        for depth in range(1, len(leaf.path)):
            above = leaf.path[:depth]
            if above in places:
                raise file.wrong(
                    f"{_shown(above)} is a leaf there, and {_shown(leaf.path)} in {places[leaf.path]} lies below it",
                    at=places[above],
                    hint="drop the upper one, or give it a leaf of its own",
                )
    return Taxonomy((leaf.path for leaf in leaves), ranks, root=root)


def uprooted(file: TextFile, leaves: Sequence[Leaf], *, ranks: Sequence[str] = ()) -> Taxonomy:
    """Return the taxonomy over leaves whose paths may begin with the root.

    A name that all paths begin with tells nothing, so it is the root and no level, unless it is a leaf itself.

    Raises:
        TaxonomyError: As ``grown``.
    """
    tops = {leaf.path[:1] for leaf in leaves}
    if len(tops) != 1 or any(len(leaf.path) < 2 for leaf in leaves):
        return grown(file, leaves, ranks=ranks)
    [(root,)] = tops
    return grown(file, [Leaf(leaf.path[1:], leaf.at) for leaf in leaves], ranks=ranks[1:], root=root)


def root_to_write(taxonomy: Taxonomy) -> str:
    """Return the root's name for files of paths; empty where none is needed to read the same taxonomy again."""
    alone = len({path[0] for path in taxonomy.paths}) == 1 and all(len(path) > 1 for path in taxonomy.paths)
    return taxonomy.root or (NO_ROOT if alone else "")


def _shown(path: Path) -> str:
    return " > ".join(map(repr, path))
