"""Conversations for fine-tuning: the questions of a benchmark with their right answers, over mixed controls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any

from attrs import evolve, frozen

from vlmkit.errors import DataError
from vlmkit.runs.convert import dumps
from vlmkit.runs.files import write_atomically
from vlmkit_mimic.benchmark import Benchmark, Header, Item, Settings, to_json
from vlmkit_mimic.build import Maker
from vlmkit_mimic.cells import Cell, Sweeps, Task
from vlmkit_mimic.sources.pictures import PictureFiles
from vlmkit_mimic.tasks import Drawer

IMAGE = "<image>"
"""Stands for an image in a question."""

IMAGES = tuple(range(2, 11))
"""Numbers of images, where nothing else says; ten are the most in the paper's training data."""

CLASSES: Mapping[Task, tuple[int, ...]] = MappingProxyType(
    {"counting": (1,), "listing": (1, 2, 3), "common": (1,), "odd-one": (1,)}
)
"""Classes of an answer, where nothing else says; a set whose size is always the same could be guessed."""

CONTROLS = ("task", "images", "classes", "total", "spread")
"""What is drawn for a conversation, one after the other."""


@frozen
class TrainingData:
    """Makes conversations; the first N of them are the same however many there are.

    Args:
        maker: Makes their questions.
        apart_from: Benchmarks whose pictures they do not show.
        files: Where their pictures lie.
    """

    maker: Maker
    apart_from: tuple[Benchmark, ...]
    files: PictureFiles

    @classmethod
    def of(
        cls, source: str, settings: Settings, *, output: Path, pictures: Path | None, apart_from: Sequence[Benchmark]
    ) -> TrainingData:
        """Read a source.

        Args:
            source: Spec of the source.
            settings: What to make; controls that its sweeps leave open take all values that fit.
            output: The file to write.
            pictures: The folder for pictures that are drawn; by default one beside ``output`` with its name.
            apart_from: Benchmarks whose pictures are left out.

        Raises:
            UserError: The source cannot be read, or has no usable picture apart from those of the benchmarks.
        """
        files = PictureFiles.of(source, pictures, output=output)
        maker = Maker.of(source, settings, output=output, apart_from=apart_from)
        return cls(evolve(maker, images=files.folder_from(output.parent)), tuple(apart_from), files)

    def write(self, output: Path) -> Header:
        """Write the conversations, their header into a file of its own, and the pictures that are drawn.

        Returns:
            The header, which names the cells that no conversation could be made for.

        Raises:
            DataError: There is no cell that one could be made for, or another picture is in the way of a drawn one.
            UserError: The settings do not fit the source, or a file cannot be written.
        """
        found = self.maker.drawers(cells(self.maker.settings.sweeps))
        drawers = [one for one in found.values() if isinstance(one, Drawer)]
        digest = self.maker.header(Counter(), found).digest
        made: Counter[Cell] = Counter()

        def lines() -> Iterator[bytes]:
            for item, cell in self.items(drawers, digest):
                made[cell] += 1
                yield dumps(conversation(item, map(self.files.path, item.images))) + b"\n"

        write_atomically(output, lines())
        header = self.maker.header(made, found)
        known = [{"benchmark": one.path.name, "digest": one.header.digest} for one in self.apart_from]
        write_atomically(header_path(output), [dumps({**to_json(header), "apart_from": known}, indent=1), b"\n"])
        return header

    def items(self, drawers: Sequence[Drawer], digest: str) -> Iterator[tuple[Item, Cell]]:
        """Yield the questions with their cells, each control in turn drawn uniformly from the values that fit."""
        tree = _tree(drawers, CONTROLS)
        for index in range(self.maker.settings.items):
            rng = Random(f"{self.maker.settings.seed}/training/{index}")
            drawer = tree
            while not isinstance(drawer, Drawer):
                drawer = rng.choice(drawer)
            yield self.maker.item(drawer, index, rng, digest), drawer.cell


def header_path(output: Path) -> Path:
    """Return where the header of a file of conversations lies: readers of such files expect none within."""
    return output.with_suffix(".header.json")


def cells(sweeps: Sweeps) -> Iterator[Cell]:
    """Yield the cells that conversations are drawn from: those of the sweeps whose numbers do not exclude each other.

    Controls that are left open take all values that fit.

    Raises:
        DataError: There are none.
    """
    images = sweeps.images or (() if sweeps.spread and sweeps.distractors else IMAGES)
    spread = sweeps.spread or (() if sweeps.distractors else tuple(range(1, max(images) + 1)))
    conflict = ""
    fitting = False
    for task in sweeps.tasks:
        classes = sweeps.classes or CLASSES[task]
        for cell in evolve(sweeps, tasks=(task,), images=images, spread=spread, classes=classes).cells():
            if not cell.conflict:
                fitting = True
                yield cell
            conflict = conflict or cell.conflict
    if not fitting:
        raise DataError(f"no question has these numbers: {conflict}", hint="change the controls")


def conversation(item: Item, paths: Iterable[str]) -> dict[str, Any]:
    """Return a question with its right answer as LLaVA has conversations.

    Args:
        item: The question.
        paths: Its pictures, relative to the folder of pictures.
    """
    # The order of a set means nothing. With one order for all sets there is one right text to learn.
    answer = ", ".join(sorted(item.answer)) if item.task == "listing" else item.gt
    return {
        "id": item.id,
        "image": [*paths],
        "conversations": [
            {"from": "human", "value": f"{IMAGE}\n" * len(item.images) + item.question},
            {"from": "gpt", "value": answer},
        ],
    }


def _tree(drawers: Sequence[Drawer], controls: Sequence[str]) -> Any:
    """Sort drawers by their controls: lists in lists, with an entry for each value of a control, drawers innermost."""
    if not controls:
        (drawer,) = drawers
        return drawer
    groups: dict[Any, list[Drawer]] = {}
    for drawer in drawers:
        groups.setdefault(getattr(drawer.cell, controls[0]), []).append(drawer)
    return [_tree(group, controls[1:]) for group in groups.values()]
