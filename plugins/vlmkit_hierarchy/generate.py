"""From images and a taxonomy to a question bank, one image at a time."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from vlmkit import Example
from vlmkit.errors import DataError
from vlmkit.runs.convert import dumps
from vlmkit.runs.files import write_atomically
from vlmkit_hierarchy.bank import FORMAT, Question, Sheet
from vlmkit_hierarchy.distractors import Distractors, Places, Scores
from vlmkit_hierarchy.sources import Source

OPTIONS = 4
"""Options of a question, the right one included, at levels with so many nodes or more."""

SMALL_LEVELS = (
    f"a level with fewer than {OPTIONS} nodes shows all of them; a level with a single node has nothing to choose and "
    "is skipped"
)
"""The rule for small levels, as headers state it."""


@frozen
class _Deck:
    """Hands out the places of right answers: each equally often, in an order without pattern.

    Args:
        size: Number of places.
        rng: Where chance comes from.
    """

    size: int
    rng: random.Random
    _left: list[int] = field(factory=list, init=False)

    def draw(self) -> int:
        """Return the next place."""
        if not self._left:
            self._left.extend(self.rng.sample(range(self.size), self.size))
        return self._left.pop()


def sheets(
    examples: Iterable[tuple[Example, Scores | None]],
    places: Places,
    distractors: Distractors,
    *,
    rng: random.Random,
) -> Iterator[Sheet]:
    """Make the questions about each image, one for each level down to its target; nothing is held but the last.

    A target may be an inner node: levels below it are ungraded and not asked about.

    Args:
        examples: The images with their targets, labels of the taxonomy, and how alike each is to all nodes.
        places: The taxonomy's levels.
        distractors: Chooses the wrong options.
        rng: Where chance comes from; the same one makes the same questions.

    Raises:
        DataError: An example has no target.
        TaxonomyError: A target is not in the taxonomy.
    """
    levels = [list(names.values()) for names in places.names.levels]
    decks = [_Deck(min(OPTIONS, len(names)), rng) for names in levels]
    for example, scores in examples:
        if example.target is None:
            raise DataError(
                f"example {example.id!r} has no target, so there is no right answer", hint="give every image its label"
            )
        node = places.names.taxonomy.path_of(example.target)
        questions = []
        for depth in range(1, len(node) + 1):
            names, deck = levels[depth - 1], decks[depth - 1]
            if deck.size < 2:
                continue
            options = [names[place] for place in distractors(node[:depth], deck.size - 1, scores)]
            # Options chosen by likeness come in its order, which must not show.
            rng.shuffle(options)
            answer = deck.draw()
            options.insert(answer, names[places.of[node[:depth]]])
            questions.append(Question(depth, options, answer))
        yield Sheet(example.id, places.names.path(node), questions)


@define
class Written:
    """How much a bank holds.

    Args:
        images: Images.
        questions: Questions about them.
    """

    images: int = 0
    questions: int = 0


def write_bank(path: Path, source: Source, places: Places, *, data: str, seed: int, rng: random.Random) -> Written:
    """Write a bank, as a whole or not at all; one sheet is held at a time.

    Args:
        path: The file; replaced if there is one.
        source: Images and wrong options.
        places: The taxonomy's levels.
        data: Spec of the data set.
        seed: The seed that ``rng`` was made from.
        rng: Where chance comes from.

    Raises:
        RunDirectoryError: The file cannot be written.
        VlmkitError: As ``sheets``.
    """
    written = Written()

    def lines() -> Iterator[bytes]:
        yield dumps(header(places, data=data, distractors=source.origin, seed=seed)) + b"\n"
        for sheet in sheets(source.examples, places, source.distractors, rng=rng):
            written.images += 1
            written.questions += len(sheet.questions)
            yield sheet.to_json()

    write_atomically(path, lines())
    return written


def header(places: Places, *, data: str, distractors: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return the first line of a bank.

    Args:
        places: The taxonomy's levels.
        data: Spec of the data set.
        distractors: How the wrong options were chosen.
        seed: The seed.
    """
    taxonomy = places.names.taxonomy
    ranks = taxonomy.ranks or [None] * taxonomy.depth
    return {
        "questions": FORMAT,
        "data": data,
        "seed": seed,
        "distractors": distractors,
        "small_levels": SMALL_LEVELS,
        "levels": [
            {"level": depth, "rank": rank, "nodes": len(nodes), "options": min(OPTIONS, len(nodes))}
            for depth, (rank, nodes) in enumerate(zip(ranks, places.names.levels, strict=True), start=1)
        ],
        "taxonomy": {"ranks": taxonomy.ranks, "root": taxonomy.root, "paths": taxonomy.paths},
    }
