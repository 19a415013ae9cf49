"""Cells: one setting of all controls. Sweeps span a grid of them, and the rules of a task say which cannot be."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from attrs import field, frozen

from vlmkit.types.tuples import as_tuple

Task = Literal["counting", "listing", "common", "odd-one"]

TASKS: tuple[Task, ...] = ("counting", "listing", "common", "odd-one")
"""The four tasks."""

ANY = 0
"""The total of an unbalanced cell: whatever the pictures happen to show."""

IMAGES = (2, 4, 8)
"""Numbers of images, where nothing else says."""

CLASSES: Mapping[Task, int] = MappingProxyType({"counting": 1, "listing": 2, "common": 1, "odd-one": 1})
"""Classes of an answer, where nothing else says."""


@frozen
class Cell:
    """One setting of all controls.

    Args:
        task: The task.
        images: Images of an item.
        spread: How many of them show an instance of the classes that the answer is about.
        distractors: How many of them show none.
        classes: Classes that the answer names.
        total: Instances of these classes in all images together; ``ANY`` where that is left to the pictures.
    """

    task: Task
    images: int
    spread: int
    distractors: int
    classes: int
    total: int = ANY

    @property
    def key(self) -> str:
        """A name made of all controls, such as ``counting-n4-s2-d2-c1-t4``."""
        total = f"-t{self.total or 'any'}" if self.task == "counting" else ""
        return f"{self.task}-n{self.images}-s{self.spread}-d{self.distractors}-c{self.classes}{total}"

    @property
    def conflict(self) -> str:
        """Why no item can have these numbers, whatever the pictures; empty if nothing speaks against them."""
        if self.spread + self.distractors != self.images:
            return f"{self.spread} with instances and {self.distractors} distractors are not {self.images} images"
        if self.distractors < 0:
            return f"{self.spread} images with instances are more than {self.images} images"
        if self.spread < 1:
            return f"{self.distractors} distractors leave no image with instances"
        if self.classes < 1:
            return "an answer names at least one class"
        return _RULES[self.task](self)


def _counting(cell: Cell) -> str:
    if cell.total != ANY and cell.total < max(cell.spread, cell.classes):
        what = "images" if cell.spread >= cell.classes else "classes"
        return f"{cell.total} instances are too few for {max(cell.spread, cell.classes)} {what}"
    return ""


def _listing(_: Cell) -> str:
    return ""


def _common(cell: Cell) -> str:
    if cell.classes != 1:
        return "common asks for one class"
    if cell.distractors:
        return "common has no distractors: all images show the class"
    return "one image has nothing in common with others" if cell.images < 2 else ""


def _odd_one(cell: Cell) -> str:
    if cell.classes != 1:
        return "odd-one asks for one class"
    if 2 * cell.spread >= cell.images:
        return f"{cell.spread} of {cell.images} images are no minority"
    return ""


_RULES = MappingProxyType({"counting": _counting, "listing": _listing, "common": _common, "odd-one": _odd_one})


@frozen
class Sweeps:
    """The values of each control; every combination is a cell. An empty sweep is left to the task.

    Args:
        tasks: The tasks.
        images: Numbers of images; left to the task, the sum of spread and distractors where both are given, else
            ``IMAGES``.
        spread: Numbers of images with instances; left to the task, the images that are no distractors where these are
            given, else the powers of two up to the images (counting, listing), all (common), or one (odd-one).
        distractors: Numbers of images without instances; left to the task, all that the spread leaves.
        classes: Numbers of classes; left to the task, ``CLASSES``.
        totals: Total numbers of instances, for counting alone.
    """

    tasks: tuple[Task, ...] = field(default=TASKS, converter=as_tuple)
    images: tuple[int, ...] = field(default=(), converter=as_tuple)
    spread: tuple[int, ...] = field(default=(), converter=as_tuple)
    distractors: tuple[int, ...] = field(default=(), converter=as_tuple)
    classes: tuple[int, ...] = field(default=(), converter=as_tuple)
    totals: tuple[int, ...] = field(default=(2, 3, 4), converter=as_tuple)

    def cells(self) -> Iterator[Cell]:
        """Yield every cell once, those that cannot be included."""
        seen: dict[Cell, None] = {}
        for task in self.tasks:
            totals = self.totals if task == "counting" else (ANY,)
            for classes, total in itertools.product(self.classes or (CLASSES[task],), totals):
                for images, spread, distractors in self._placings(task):
                    seen[Cell(task, images, spread, distractors, classes, total)] = None
        return iter(seen)

    def _placings(self, task: Task) -> Iterator[tuple[int, int, int]]:
        """Yield numbers of images, of those with instances, and of distractors."""
        if self.spread and self.distractors:
            for spread, distractors in itertools.product(self.spread, self.distractors):
                for images in self.images or (spread + distractors,):
                    yield images, spread, distractors
            return
        for images in self.images or IMAGES:
            if self.distractors:
                yield from ((images, images - distractors, distractors) for distractors in self.distractors)
            else:
                spreads = self.spread or _spreads(task, images)
                yield from ((images, spread, images - spread) for spread in spreads)


def _spreads(task: Task, images: int) -> Sequence[int]:
    if task == "common":
        return (images,)
    if task == "odd-one":
        return (1,)
    return [2**power for power in range(images.bit_length()) if 2**power <= images]
