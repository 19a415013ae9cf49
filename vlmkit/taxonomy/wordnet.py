"""Synsets of an installed WordNet, by its database files.

Source: https://wordnet.princeton.edu/documentation/wndb5wn
"""

from __future__ import annotations

import pathlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import takewhile

from attrs import frozen

from vlmkit.data.text import TextFile
from vlmkit.errors import TaxonomyError
from vlmkit.taxonomy.leaves import Leaf, grown
from vlmkit.types import Taxonomy

_ID = re.compile(r"n(\d{8})\b")
_HYPERNYMS = ("@", "@i")
"""Pointers to what a synset is a kind of, and to what it is an instance of."""


def read(path: pathlib.Path, synsets: pathlib.Path) -> Taxonomy:
    """Read the tree over some synsets; the deepest node above all of them is the root.

    A synset goes by its first word, with its id where a sibling has the same. Of several hypernyms the first is the
    parent, as WordNet lists them: a kind of thing before an instance of one.

    Args:
        path: The folder of the database, with ``data.noun``; that of NLTK's corpus is one.
        synsets: Text file with an id such as n02084071 at the beginning of each line; the rest of a line is skipped.

    Raises:
        TaxonomyError: A file cannot be read, a synset is not in WordNet, or lies above another one of the file.
    """
    database = Database(TextFile(path / "data.noun", "WordNet file", TaxonomyError))
    wanted = TextFile(synsets, "list of synsets", TaxonomyError)
    places: dict[str, str] = {}
    for line, id in _listed(wanted):
        at = f"line {line}"
        if id not in database.lines:
            raise wanted.wrong(f"synset n{id} is not in {database.file.path}", at=at, hint="remove it")
        if id in places:
            raise wanted.wrong(f"synset n{id} stands there and in {places[id]}", at=at, hint="remove one")
        places[id] = at
    if not places:
        raise wanted.wrong("it lists no synset", hint="write one id such as n02084071 a line")
    ways = {id: database.way(id) for id in places}
    names = _names(database, ways.values())
    alike = takewhile(lambda level: len(set(level)) == 1, zip(*ways.values(), strict=False))
    shared = min(len(list(alike)), min(map(len, ways.values())) - 1)
    leaves = [Leaf(tuple(names[node] for node in ways[id][shared:]), at) for id, at in places.items()]
    root = names[next(iter(ways.values()))[shared - 1]] if shared else ""
    return grown(wanted, leaves, root=root)


@frozen
class Synset:
    """One line of ``data.noun``.

    Args:
        word: Its first word, underscores as blanks.
        hypernyms: Ids of what it is a kind or an instance of, kinds first.
    """

    word: str
    hypernyms: tuple[str, ...]


@frozen
class Database:
    """The nouns of a WordNet.

    Args:
        file: ``data.noun``.
    """

    file: TextFile

    @cached_property
    def lines(self) -> Mapping[str, tuple[int, str]]:
        """Number and text of each synset's line, by the 8 digits of its id."""
        # The licence at the top is indented.
        return {line[:8]: (number, line) for number, line in self.file.lines() if not line.startswith(" ")}

    def way(self, id: str) -> tuple[str, ...]:
        """Return the ids from the top down to a synset.

        Raises:
            TaxonomyError: A line is no synset, or a synset lies below itself.
        """
        way = [id]
        while above := self.synset(way[-1]).hypernyms:
            if above[0] in way:
                line, _ = self.lines[way[-1]]
                raise self.file.wrong(
                    f"synset n{above[0]} lies below itself", at=f"line {line}", hint="install WordNet again"
                )
            way.append(above[0])
        return tuple(reversed(way))

    def synset(self, id: str) -> Synset:
        """Return a synset.

        Raises:
            TaxonomyError: Its line cannot be read, or names a hypernym that is not there.
        """
        number, line = self.lines[id]
        at = f"line {number}"
        fields = line.split(" | ")[0].split()
        try:
            words = int(fields[3], 16)
            first = 4 + 2 * words
            count = int(fields[first])
            pointers = [fields[start : start + 2] for start in range(first + 1, first + 1 + 4 * count, 4)]
            hypernyms = tuple(target for kind in _HYPERNYMS for symbol, target in pointers if symbol == kind)
            word = fields[4].replace("_", " ")
        except (ValueError, IndexError):
            raise self.file.wrong("it is no synset", at=at, hint="give the dict folder of a WordNet 3") from None
        for hypernym in hypernyms:
            if hypernym not in self.lines:
                raise self.file.wrong(f"its hypernym n{hypernym} is missing", at=at, hint="install WordNet again")
        return Synset(word, hypernyms)


def _names(database: Database, ways: Iterable[Sequence[str]]) -> dict[str, str]:
    """Return a name for each synset on the ways, which no sibling has."""
    parents = {id: parent for way in ways for parent, id in zip(("", *way), way, strict=False)}
    words = {id: database.synset(id).word for id in parents}
    times = Counter((parents[id], word) for id, word in words.items())
    return {id: word if times[parents[id], word] == 1 else f"{word} (n{id})" for id, word in words.items()}


def _listed(file: TextFile) -> Iterator[tuple[int, str]]:
    for line, text in file.lines():
        match = _ID.match(text.strip())
        if match is None:
            raise file.wrong(f"{text.strip()[:20]!r} is no id", at=f"line {line}", hint="write ids such as n02084071")
        yield line, match[1]
