"""The controls of questions, as options of the commands that make them."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import Any

import click

from vlmkit.cli.options import Decorator
from vlmkit_mimic.benchmark import Settings
from vlmkit_mimic.cells import ANY, TASKS, Sweeps, Task
from vlmkit_mimic.values import Numbers, Pool, Share
from vlmkit_mimic.wording import WORDING, read_wording


def controls(*, images: str, spread: str, classes: str, totals: str) -> Decorator:
    """Return the options that ``settings`` takes.

    Args:
        images: What help says of the images where nothing is given.
        spread: The same of the spread.
        classes: The same of the classes.
        totals: The totals where nothing is given.
    """
    options = (
        click.option("--task", type=click.Choice(TASKS), multiple=True, help="Repeatable.  [default: all]"),
        click.option("--images", type=Numbers(1), help=f"Images of an item.  [default: {images}]"),
        click.option("--spread", type=Numbers(1), help=f"Images that show instances.  [default: {spread}]"),
        click.option(
            "--distractors", type=Numbers(0), help="Images that show none.  [default: what the spread leaves]"
        ),
        click.option("--classes", type=Numbers(1), help=f"Classes of an answer.  [default: {classes}]"),
        click.option(
            "--total",
            type=Numbers(1, any=ANY),
            default=totals,
            show_default=True,
            help="Counting: instances in all images together (balanced), or any: what the pictures show (unbalanced).",
        ),
        click.option(
            "--min-area", type=Share(), default="5%", show_default=True, help="Leave out pictures with a smaller box."
        ),
        click.option(
            "--pool", type=Pool(), help="Classes to ask about: their names, or a number to draw.  [default: all]"
        ),
        click.option(
            "--wording", type=click.Path(path_type=Path), metavar="FILE.json", help="Templates of the questions."
        ),
    )
    return lambda command: reduce(lambda decorated, option: option(decorated), reversed(options), command)


def settings(
    *,
    task: tuple[Task, ...],
    images: tuple[int, ...] | None,
    spread: tuple[int, ...] | None,
    distractors: tuple[int, ...] | None,
    classes: tuple[int, ...] | None,
    total: tuple[int, ...],
    pool: int | tuple[str, ...] | None,
    wording: Path | None,
    **others: Any,
) -> Settings:
    """Return the settings that the options mean; others are taken as they are.

    Raises:
        UserError: The templates cannot be used.
    """
    return Settings(
        sweeps=Sweeps(task or TASKS, images or (), spread or (), distractors or (), classes or (), total),
        pool=() if pool is None else pool,
        wording=WORDING if wording is None else read_wording(wording),
        **others,
    )
