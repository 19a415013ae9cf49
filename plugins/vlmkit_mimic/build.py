"""From a source and settings to a benchmark, one item at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random

from attrs import evolve, frozen

from vlmkit import __version__
from vlmkit.errors import DataError, UnknownNameError
from vlmkit.runs.convert import dumps
from vlmkit.runs.files import write_atomically
from vlmkit_mimic.benchmark import FORMAT, Benchmark, CellPlan, Header, Item, Settings, factors, to_json
from vlmkit_mimic.cells import Cell
from vlmkit_mimic.collection import Collection
from vlmkit_mimic.sources import build_source
from vlmkit_mimic.tasks import Drawer, Drawn, Infeasible
from vlmkit_mimic.wording import key, question


@frozen
class Maker:
    """Makes the items of a benchmark.

    Args:
        settings: What to make.
        collection: The pictures.
        source: Spec of the source.
        images: The folder of the pictures as the header shall name it, or None where they are drawn.
    """

    settings: Settings
    collection: Collection
    source: str
    images: str | None

    @classmethod
    def of(cls, source: str, settings: Settings, *, output: Path, apart_from: Iterable[Benchmark] = ()) -> Maker:
        """Read a source.

        Args:
            source: Spec of the source.
            settings: What to make.
            output: The file to write; the folder of the pictures is named relative to it.
            apart_from: Benchmarks whose pictures are left out.

        Raises:
            UserError: The source cannot be read or has no usable picture, or none apart from those of a benchmark.
        """
        built = build_source(source)
        collection = Collection.of(built.annotations(), min_area=settings.min_area)
        for benchmark in apart_from:
            theirs = _identities(benchmark)
            taken = [one.name for one in collection.pictures if built.identity(one.name) in theirs]
            collection = collection.without(taken, benchmark.path.name)
        folder = None if built.images is None else Path(os.path.relpath(built.images, output.parent)).as_posix()
        return cls(settings, collection, source, folder)

    def write(self, output: Path) -> Header:
        """Write the benchmark, as a whole or not at all; one item is held at a time.

        Returns:
            The header, which names the cells that no item could be made for.

        Raises:
            DataError: There is no cell that an item could be made for.
            UserError: The settings do not fit the source, or the file cannot be written.
        """
        found = self.drawers(self.settings.sweeps.cells())
        header = self.header(dict.fromkeys(found, self.settings.items), found)

        def lines() -> Iterator[bytes]:
            yield dumps(to_json(header)) + b"\n"
            for cell, drawer in found.items():
                if isinstance(drawer, Drawer):
                    for index in range(self.settings.items):
                        yield dumps(to_json(self.item(drawer, index, self._rng(cell, index), header.digest))) + b"\n"

        write_atomically(output, lines())
        return header

    def drawers(self, cells: Iterable[Cell]) -> Mapping[Cell, Drawer | Infeasible]:
        """Return for each cell what draws its items, or why none can be drawn.

        Raises:
            DataError: None can be drawn for any of them.
            UserError: The settings do not fit the source.
        """
        pool = self.pool()
        found: dict[Cell, Drawer | Infeasible] = {}
        for cell in cells:
            drawer = Drawer(cell, self.collection, pool)
            try:
                if cell.conflict:
                    raise Infeasible(cell.conflict)
                drawer.draw(self._rng(cell, 0))
            except Infeasible as reason:
                found[cell] = reason
            else:
                found[cell] = drawer
        if not any(isinstance(one, Drawer) for one in found.values()):
            first = next((f"; the first: {cell.key}: {reason}" for cell, reason in found.items()), "")
            raise DataError(f"none of {len(found)} cells can be made{first}", hint="change the controls")
        return found

    def pool(self) -> Sequence[str]:
        """Return the classes that may be asked about.

        Raises:
            UnknownNameError: A name is no class of the source.
            DataError: More classes are to be drawn than there are.
        """
        wanted, classes = self.settings.pool, self.collection.classes
        if isinstance(wanted, int):
            if not 1 <= wanted <= len(classes):
                raise DataError(f"a pool of {wanted:,} from {len(classes):,} classes", hint="give another --pool")
            return Random(f"{self.settings.seed}/pool").sample(classes, wanted)
        for name in wanted:
            if name not in classes:
                raise UnknownNameError("class", name, classes)
        return wanted or classes

    def _rng(self, cell: Cell, index: int) -> Random:
        return Random(f"{self.settings.seed}/{cell.key}/{index}")

    def item(self, drawer: Drawer, index: int, rng: Random, digest: str) -> Item:
        """Draw one item.

        Args:
            drawer: What draws the items of its cell.
            index: Its number.
            rng: Where chance comes from.
            digest: What its id ends with.
        """
        cell, drawn = drawer.cell, drawer.draw(rng)
        shown = [*drawn.showing, *drawn.distractors]
        if self.settings.shuffle:
            rng.shuffle(shown)
        templates = self.settings.wording[key(cell.task, cell.classes)]
        wording = rng.randrange(len(templates))
        return Item(
            id=f"{cell.key}/{index:04d}@{digest}",
            task=cell.task,
            images=tuple(self.collection.pictures[place].name for place in shown),
            question=question(templates[wording], [*drawn.answer], drawn.group),
            gt=_gold(cell, drawn),
            answer=drawn.answer,
            factors=factors(cell, wording),
            group=drawn.group or None,
        )

    def header(self, items: Mapping[Cell, int], found: Mapping[Cell, Drawer | Infeasible]) -> Header:
        """Return the header of a file with so many items of each cell that can be made."""
        made = Header(
            mimic=FORMAT,
            version=__version__,
            source=self.source,
            images=self.images,
            settings=self.settings,
            digest="",
            classes=self.collection.classes,
            pictures=len(self.collection.pictures),
            dropped=self.collection.dropped,
            cells=tuple(
                CellPlan(cell.key, 0, str(one)) if isinstance(one, Infeasible) else CellPlan(cell.key, items[cell])
                for cell, one in found.items()
            ),
        )
        return evolve(made, digest=_digest(self.collection.digest, made))


def _identities(benchmark: Benchmark) -> frozenset[str]:
    """Return what tells the pictures of a benchmark from all others."""
    source = build_source(benchmark.header.source)
    return frozenset(source.identity(name) for item in benchmark.items for name in item.images)


def _digest(pictures: str, header: Header) -> str:
    """Return 8 hexadecimal digits that differ between benchmarks with other questions."""
    content = [FORMAT, pictures, to_json(header)["settings"]]
    return hashlib.sha256(dumps(content)).hexdigest()[:8]


def _gold(cell: Cell, drawn: Drawn) -> str:
    if cell.task != "counting":
        return ", ".join(drawn.answer)
    if cell.classes == 1:
        return str(sum(drawn.answer.values()))
    return ", ".join(f"{name}: {number}" for name, number in drawn.answer.items())
