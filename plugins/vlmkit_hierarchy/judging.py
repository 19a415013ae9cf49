"""Figures of answers that are there already: of a run, or in a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vlmkit import Taxonomy
from vlmkit.errors import UserError
from vlmkit.registry import Builder
from vlmkit.runs import StoredRun, Tally, to_json
from vlmkit.runs.stored import TAXONOMY
from vlmkit_hierarchy.asked import ASKED
from vlmkit_hierarchy.bank import Bank
from vlmkit_hierarchy.graded import Pair
from vlmkit_hierarchy.grading import of_answers, of_bank, of_paths, of_run
from vlmkit_hierarchy.levels import LevelNames
from vlmkit_hierarchy.summary import Grading


def judge_run(directory: Path, by: Bank | Taxonomy, grading: Grading) -> dict[str, Any]:
    """Return the results of a run: of one over the questions of a bank, or of one that predicts labels of a taxonomy.

    Raises:
        RunDirectoryError: It holds no run, or a line is no record.
        UserError: It has no prediction about these labels, or answered no questions of a bank where one is given.
        TaxonomyError: A target is not in the taxonomy.
    """
    run = StoredRun.read(directory)
    if isinstance(by, Bank) and not run.fingerprint["data"].startswith(ASKED):
        raise UserError(f"run {directory} answered no questions of a file", hint="leave QUESTIONS out")
    records = list(run.records())
    tally = Tally.of(records)
    pairs = of_bank(records, by) if isinstance(by, Bank) else of_run(records, LevelNames(by))
    return {
        "n": {"total": len(records), "done": tally.done, "failed": tally.failed},
        "usage": to_json(tally.usage),
        "directory": str(directory),
        **grading.results(_any(pairs), _tree(by)),
    }


def judge_predictions(path: Path, by: Bank | Taxonomy, grading: Grading) -> dict[str, Any]:
    """Return the results of a file of predictions.

    Raises:
        DataError: The file cannot be read, or a line of it is wrong; the message names the line.
        UserError: It holds no prediction.
    """
    pairs = _any(of_answers(path, by) if isinstance(by, Bank) else of_paths(path, LevelNames(by)))
    total = len(by) if isinstance(by, Bank) else len(pairs)
    return {"n": {"total": total, "done": len(pairs)}, **grading.results(pairs, _tree(by))}


def taxonomy_of_run(directory: Path, given: str | None, builder: Builder) -> Taxonomy:
    """Return the taxonomy that was given or, without one, that of the run.

    Raises:
        UserError: There is neither.
        TaxonomyError: It cannot be read, or is no tree.
    """
    own = directory / TAXONOMY
    if given is None and not own.exists():
        raise UserError(
            f"{directory} has no taxonomy to judge by", hint="give --taxonomy FILE, or the QUESTIONS that it answered"
        )
    return builder.taxonomy(given or str(own))


def _tree(by: Bank | Taxonomy) -> Taxonomy:
    return by.taxonomy if isinstance(by, Bank) else by


def _any(pairs: Iterable[Pair]) -> list[Pair]:
    found = list(pairs)
    if not found:
        raise UserError("there is no prediction to judge", hint="check that it is about these questions or labels")
    return found
