"""Where pairs of targets and predictions come from: runs, and files of predictions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from vlmkit.errors import TaxonomyError
from vlmkit.runs import Record, StoredRun
from vlmkit_hierarchy.asking import asked, filled, parsed
from vlmkit_hierarchy.bank import Bank, Sheet, letter_index
from vlmkit_hierarchy.graded import Levels, Pair
from vlmkit_hierarchy.jsonl import Line, json_lines
from vlmkit_hierarchy.levels import LevelNames

WHAT = "prediction file"


def of_bank(records: Iterable[Record], bank: Bank) -> Iterator[Pair]:
    """Yield the pairs of a run over a question bank; failed images have none."""
    for record in records:
        if record.error is None and record.id in bank.places:
            yield record.id, bank.sheet(record.id).graded, [name or None for name in record.path]


def of_replies(directory: Path, bank: Bank, parser: str, *, autofill_leaf: bool) -> Iterator[Pair]:
    """Yield the pairs of a run over a question bank that generated text, read by another parser."""
    run = StoredRun.read(directory)
    done = {record.id for record in run.records() if record.error is None}
    for image, lines in groupby(run.samples(), key=lambda line: str(line["id"])):
        if image in done:
            sheet = bank.sheet(image)
            questions = asked(sheet, autofill_leaf=autofill_leaf)
            pairs = zip(questions, (line["reply"] for line in lines), strict=True)
            yield image, sheet.graded, filled(sheet, questions, [parsed(one, text, parser) for one, text in pairs])


def of_run(records: Iterable[Record], names: LevelNames) -> Iterator[Pair]:
    """Yield the pairs of a run that predicted labels or paths of a taxonomy; failed images have none.

    A record without a path, as of a strategy that knows no taxonomy, stands for the path of its label.

    Raises:
        TaxonomyError: A target is not in the taxonomy.
    """
    taxonomy = names.taxonomy
    labels = set(taxonomy.labels.names)
    for record in records:
        if record.error is not None or record.target is None:
            continue
        target = taxonomy.path_of(record.target)
        predicted = record.path
        if not predicted and record.label is not None and record.label in labels:
            predicted = taxonomy.path_of(record.label)
        shown: Levels = names.path(predicted) if predicted in taxonomy else names.names_of(predicted, target)
        yield record.id, names.graded(target), shown


def of_answers(path: Path, bank: Bank) -> Iterator[Pair]:
    """Yield the pairs of a file of answers to a question bank: ``id``, and ``path`` or ``letters``.

    ``path`` has the names from the first level down, ``letters`` a letter for each question; null is no answer.

    Raises:
        DataError: The file cannot be read, or a line of it is wrong; the message names the line.
    """
    for line, image in _distinct(path):
        if image not in bank.places:
            raise line.wrong(f"{image!r} is no image of {bank.path}", hint="give the ids of the question file")
        sheet = bank.sheet(image)
        answers: Levels = _by_letter(line, sheet) if "letters" in line.value else _path(line)
        yield image, sheet.graded, answers[: len(sheet.path)]


def of_paths(path: Path, names: LevelNames) -> Iterator[Pair]:
    """Yield the pairs of a file of predicted paths: ``id``, ``target`` and ``path``.

    ``target`` is a label of the taxonomy or, like ``path``, a list of names from the first level down; null is an
    ungraded level of a target and a missing answer of a prediction.

    Raises:
        DataError: The file cannot be read, or a line of it is wrong; the message names the line.
    """
    for line, image in _distinct(path):
        target: Levels
        if isinstance(line.value.get("target"), str):
            try:
                target = names.graded(names.taxonomy.path_of(line.text("target")))
            except TaxonomyError as error:
                raise line.wrong(error.message, hint=error.hint) from None
        else:
            target = line.texts_or_nulls("target")
        yield image, target, _path(line)


def _distinct(path: Path) -> Iterator[tuple[Line, str]]:
    seen: dict[str, int] = {}
    for line in json_lines(path, WHAT):
        image = line.text("id")
        if image in seen:
            raise line.wrong(f"id {image!r} stands there and in line {seen[image]}", hint="keep one of them")
        seen[image] = line.number
        yield line, image


def _path(line: Line) -> list[str | None]:
    return [name or None for name in line.texts_or_nulls("path")]


def _by_letter(line: Line, sheet: Sheet) -> tuple[str | None, ...]:
    letters = line.texts_or_nulls("letters")
    if "path" in line.value:
        raise line.wrong("it has both path and letters", hint="keep one")
    if len(letters) != len(sheet.questions):
        raise line.wrong(
            f"{len(letters)} letters for {len(sheet.questions)} questions", hint="give one a question, or null"
        )
    names: list[Any] = []
    for letter, question in zip(letters, sheet.questions, strict=True):
        try:
            names.append(None if letter is None else question.options[letter_index(letter)])
        except (ValueError, IndexError):
            options = len(question.options)
            raise line.wrong(f"{letter!r} is no letter of {options} options", hint="give null for no answer") from None
    return filled(sheet, sheet.questions, names)
