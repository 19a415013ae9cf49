"""The words of the questions: several templates a task, one of which is drawn for each item.

A template is a text with the fields ``{names}`` (the classes), ``{plurals}`` and ``{group}`` (the super-category).
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from vlmkit.data.text import TextFile
from vlmkit.errors import DataError, UnknownNameError
from vlmkit_mimic.cells import TASKS
from vlmkit_mimic.plurals import plural

SEVERAL = "counting-several"
"""What the templates of Counting with more than one class are called."""

Wording = Mapping[str, Sequence[str]]
"""Templates by task, and by ``SEVERAL``."""

WORDING: Wording = MappingProxyType(
    {
        "counting": (
            "How many {plurals} are there across these images? Please answer with a number.",
            "Count all {plurals} in these images together. Answer with one number.",
            "What is the total number of {plurals} in the images? Answer with a number only.",
            "Look at every image. How many {plurals} do you see in all of them taken together? Give a number.",
        ),
        SEVERAL: (
            "How many {plurals} are there across these images? Answer with the name and the number of each.",
            "Count these in all images together, each by itself: {plurals}. Write each name with its number.",
            "For each of these, what is its total number in the images: {plurals}? Answer like 'name: number'.",
        ),
        "listing": (
            "Which objects of the category {group} are visible in these images? List their names, separated by commas.",
            "List every kind of object of the category {group} in the images. Answer with names and commas only.",
            "Name all kinds of objects of the category {group} that any image shows, separated by commas.",
        ),
        "common": (
            "Which object appears in all of these images? Answer with its name.",
            "One kind of object is visible in every image. Which one? Answer with its name only.",
            "What do all the images have in common? Name the one kind of object that each of them shows.",
        ),
        "odd-one": (
            "Which object appears in fewer than half of these images, unlike the others? Answer with its name.",
            "One kind of object is visible in a minority of the images only. Which one? Answer with its name only.",
            "Most images show the same kind of object. Name the other kind, which only a few of them show.",
        ),
    }
)
"""The built-in templates. The published ones are known by one example, which stands first; the rest are ours."""

_FIELDS: Mapping[str, Sequence[str]] = MappingProxyType(
    {"counting": ("names", "plurals"), SEVERAL: ("names", "plurals"), "listing": ("group",)}
)


def read_wording(path: Path) -> Wording:
    """Read templates from a JSON file; tasks that it leaves out keep the built-in ones.

    Raises:
        DataError: The file cannot be read, or a template cannot be used.
        UnknownNameError: It has templates for something that is no task.
    """
    file = TextFile(path, "wording file", DataError)
    given = file.json(file.read())
    if not isinstance(given, dict):
        raise file.wrong("expected an object", hint='write {"counting": ["How many {plurals} ...?"]}')
    for task, templates in given.items():
        if task not in WORDING:
            raise UnknownNameError("task", task, WORDING, where=str(path))
        if not isinstance(templates, list) or not templates or not all(isinstance(one, str) for one in templates):
            raise file.wrong("expected a list of texts", at=task, hint="give one template or more")
        for index, template in enumerate(templates):
            _check(template, task, file, f"{task}[{index}]")
    return {**WORDING, **{task: tuple(templates) for task, templates in given.items()}}


def question(template: str, names: Sequence[str], group: str) -> str:
    """Fill a template."""
    return template.format(names=_joined(names), plurals=_joined([*map(plural, names)]), group=group)


def key(task: str, classes: int) -> str:
    """Return what the templates of a task are called."""
    assert task in TASKS
    return SEVERAL if task == "counting" and classes > 1 else task


def _joined(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _check(template: str, task: str, file: TextFile, at: str) -> None:
    fields = _FIELDS.get(task, ())
    try:
        used = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise file.wrong(f"broken template ({error})", at=at, hint="write { as {{") from None
    if used - {*fields}:
        raise file.wrong(
            f"it has the field {{{min(used - {*fields})}}}",
            at=at,
            hint=f"fields of {task}: {', '.join(fields) or 'none'}",
        )
    if fields and not used:
        raise file.wrong("it does not say what to look for", at=at, hint=f"use {{{fields[-1]}}}")
