"""What the wrong options of a bank come from: chance, an embedder, or a matrix that the user brings."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from vlmkit import Example
from vlmkit.data.images import open_image
from vlmkit.errors import DataError
from vlmkit_hierarchy.distractors import AtRandom, Distractors, ImageSimilar, Places, Scores, Sibling, TextSimilar
from vlmkit_hierarchy.levels import LevelNames

TEMPLATE = "a photo of a {}."
"""What a name is embedded in, as in the published SigLIP evaluation."""


@frozen
class Source:
    """Images, and the rule by which their wrong options are chosen.

    Args:
        examples: The images, each with how alike it is to all nodes where the rule needs that.
        distractors: The rule.
        origin: What the bank's header says of it.
    """

    examples: Iterable[tuple[Example, Scores | None]]
    distractors: Distractors
    origin: Mapping[str, Any]


def by_chance(kind: str, examples: Iterable[Example], places: Places, rng: random.Random) -> Source:
    """Return the source of the kinds ``random`` and ``sibling``."""
    rule = AtRandom if kind == "random" else Sibling
    return Source(_unscored(examples), rule(places, rng), {"kind": kind})


def by_embedder(
    kind: str, examples: Iterable[Example], places: Places, directory: Path, *, template: str, device: str | None
) -> Source:
    """Return the source of the similar kinds, by the cosine similarities of an embedder.

    Raises:
        ModelError: The embedder cannot be loaded.
        DataError: The template has no place for the name.
    """
    from vlmkit.local.embedder import Embedder

    if "{}" not in template:
        raise DataError(f"template {template!r} has no place for the name", hint="write {} there")
    embedder = Embedder.load(directory, device)
    names = [name for level in places.names.levels for name in level.values()]
    vectors = embedder.texts([template.replace("{}", name) for name in names])
    origin = {"kind": kind, "embedder": embedder.identity, "template": template}
    if kind == "text-similar":
        return Source(_unscored(examples), TextSimilar(places, lambda place: vectors @ vectors[place]), origin)

    def scored() -> Iterator[tuple[Example, Scores]]:
        waiting = iter(examples)
        while batch := list(islice(waiting, embedder.batch)):
            images = [open_image(_only_picture(one), name=one.id) for one in batch]
            yield from zip(batch, embedder.images(images) @ vectors.T, strict=True)

    return Source(scored(), ImageSimilar(places), origin)


def by_matrix(kind: str, examples: Iterable[Example], images: int, places: Places, path: Path) -> Source:
    """Return the source of the similar kinds, by a ``.npy`` file that stays on the disk.

    Columns are nodes, level by level, each level in depth-first order. Rows are the same nodes for ``text-similar``,
    and the images in the order of the data set for ``image-similar``.

    Args:
        kind: Which of the two.
        examples: The images.
        images: How many the data set has.
        places: The taxonomy's levels.
        path: The file.

    Raises:
        DataError: The file cannot be read, has another shape, or holds a value that is not finite.
    """
    origin = {"kind": kind, "similarity": path.name}
    if kind == "text-similar":
        between = _read(path, places.names, rows=places.starts[-1], what="node")
        return Source(_unscored(examples), TextSimilar(places, lambda place: _finite(between[place], path)), origin)
    rows = _read(path, places.names, rows=images, what="image")
    scored = ((example, _finite(row, path)) for example, row in zip(examples, rows, strict=False))
    return Source(scored, ImageSimilar(places), origin)


def _unscored(examples: Iterable[Example]) -> Iterator[tuple[Example, None]]:
    return ((example, None) for example in examples)


def _only_picture(example: Example) -> Any:
    if len(example.images) != 1:
        raise DataError(
            f"example {example.id!r} has {len(example.images)} pictures, and one is compared with names",
            hint="give --similarity instead, or one picture an example",
        )
    return example.images[0]


def _read(path: Path, names: LevelNames, *, rows: int, what: str) -> NDArray[Any]:
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"similarity {path} cannot be read ({reason})", hint="write it with numpy.save") from None
    nodes = sum(map(len, names.levels))
    if not isinstance(matrix, np.ndarray) or matrix.shape != (rows, nodes) or matrix.dtype.kind not in "fiu":
        shape = "x".join(f"{side:,}" for side in getattr(matrix, "shape", ()))
        raise DataError(
            f"similarity {path} is {shape} {getattr(matrix, 'dtype', '')}, expected {rows:,}x{nodes:,} numbers",
            hint=f"give a row for each {what} and a column for each node, level by level (docs/hierarchy.md)",
        )
    return matrix


def _finite(row: Scores, path: Path) -> Scores:
    if not np.isfinite(row).all():
        raise DataError(f"similarity {path} holds a value that is not finite", hint="give numbers only")
    return row
